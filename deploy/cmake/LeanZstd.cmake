# Of zstd the static executor compresses at levels 1 and 3 (common/pack.c) and decompresses frames whose magic number it has
# checked (common/pack_frame.c). The library's table of strategies and its readers of formats before 0.8 refer to all the rest, a
# third of a megabyte that cannot run here: their entry points become abort, so that the linker leaves their objects out.
# Names are taken from the library itself; what another version names otherwise is linked as it was.
function(lean_zstd target)
    find_library(ZSTD_STATIC libzstd.a REQUIRED)
    execute_process(COMMAND ${CMAKE_NM} -g --defined-only ${ZSTD_STATIC}
        OUTPUT_VARIABLE symbols ERROR_QUIET COMMAND_ERROR_IS_FATAL ANY)
    string(REGEX MATCHALL " T (ZSTDv0|ZBUFFv0|ZSTD_compressBlock_(greedy|lazy|bt))[A-Za-z0-9_]*" unused "${symbols}")
    list(TRANSFORM unused REPLACE "^ T " "")
    list(APPEND unused ZSTD_updateTree ZSTD_row_update ZSTD_insertAndFindFirstIndex
        ZSTD_dedicatedDictSearch_lazy_loadDictionary)
    list(TRANSFORM unused REPLACE "(.+)" "-Wl,--defsym=\\1=abort")
    target_link_options(${target} PRIVATE ${unused})
endfunction()
