# embed_text(TARGET NAME FILE): the ASCII file becomes `const char NAME[]` in TARGET, NUL-terminated.
function(embed_text target name file)
    set(source ${CMAKE_CURRENT_BINARY_DIR}/${name}.c)
    add_custom_command(OUTPUT ${source}
        COMMAND ${CMAKE_COMMAND} -DIN=${CMAKE_CURRENT_SOURCE_DIR}/${file} -DOUT=${source} -DNAME=${name}
                -P ${CMAKE_SOURCE_DIR}/deploy/cmake/embed_file.cmake
        DEPENDS ${file} ${CMAKE_SOURCE_DIR}/deploy/cmake/embed_file.cmake VERBATIM)
    target_sources(${target} PRIVATE ${source})
endfunction()
