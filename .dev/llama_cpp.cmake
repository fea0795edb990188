# Included into llama-cpp-python's build: the library alone is needed, not llama.cpp's code shared by its own programs.
# A plain variable wins over the cache entry that the build forces.
set(LLAMA_BUILD_COMMON OFF)
# GCC 12 takes the intrinsic that loads AMX's tile configuration to read 8 of its 64 bytes and leaves out the rest, so
# that the first product of a quantised model ends the process. A token is no faster with AMX: do without it.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64)$")
    include(CheckCCompilerFlag)
    check_c_compiler_flag(-mno-amx-tile HAS_AMX)
    if(HAS_AMX)
        add_compile_options(-mno-amx-tile -mno-amx-int8 -mno-amx-bf16)
    endif()
endif()
