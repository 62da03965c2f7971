/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tls_memory: where OpenSSL's record buffers come from. It gives the buffers of a connection back as soon as they are
 * empty (SSL_MODE_RELEASE_BUFFERS), so that an idle connection holds none, and asks for them again with the next
 * record: twice for each read of a busy one. A few of them wait in the thread that used them last; all other memory
 * goes to malloc and free as before. Like freed heap memory, a waiting buffer still has its last content.
 *
 * Under AddressSanitizer nothing is kept, so that it can see each use after a free.
 */
#pragma once

/** Once, before anything in the process has called OpenSSL; when that is too late, nothing changes. */
void tls_memory_install(void);

/** Gives back what waits in this thread; for a worker that ends. */
void tls_memory_release(void);
