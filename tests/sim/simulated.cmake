# What a program needs to run a worker between simulated peers; it brings its own main and generator (rng.h).
set(SETU_SIM_DIRECTORY ${CMAKE_CURRENT_LIST_DIR})
function(setu_simulated program)
    foreach(source
        ../unit/pki_kit.c
        book.c
        broker.c
        broker_serve.c
        check.c
        client.c
        client_renew.c
        client_talk.c
        fake_os.c
        fake_uv.c
        misdeeds.c
        mutate.c
        net.c
        queue.c
        sim.c
        stage.c
        stage_files.c
        wire.c)
        target_sources(${program} PRIVATE ${SETU_SIM_DIRECTORY}/${source})
    endforeach()
    target_link_libraries(${program} PRIVATE setu_proxy setu_options PkgConfig::UV PkgConfig::OPENSSL)
    # The runs are many; their own part is not what is looked for faults in.
    target_compile_options(${program} PRIVATE -O1)
    foreach(call
        socket bind listen accept accept4 connect send recv shutdown close setsockopt getsockopt
        clock_gettime timerfd_create getrandom RAND_bytes PKCS5_PBKDF2_HMAC
        log_enabled log_write log_text session_enter)
        target_link_options(${program} PRIVATE -Wl,--wrap=${call})
    endforeach()
endfunction()
