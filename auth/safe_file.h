/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening a file that holds a key or a password. Its name may be a symbolic link, as Kubernetes and ACME clients make
 * them, where nobody but root and us could have put that link there:
 *
 *   the link     belongs to root or us
 *   its folder   belongs to root or us, and nobody else may write there, or it is sticky (others cannot replace what is
 *                not theirs: the kernel's own rule, fs.protected_symlinks)
 *
 * Each link on the way from the name to the file is judged so, each step taken from the open folder and not from the
 * name. Folders that the configured path itself names are opened as ever. The file is judged by whoever opened it.
 */
#pragma once

enum { SAFE_FILE_LINKS_MAX = 8 };

/* A descriptor to read from, which never blocks on opening; -1 and errno: ELOOP is a link that is not safe. */
int safe_file_open(const char *path) __attribute__((warn_unused_result));
