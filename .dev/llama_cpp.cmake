# Included into llama-cpp-python's build: the library alone is needed, not llama.cpp's code shared by its own programs.
# A plain variable wins over the cache entry that the build forces.
set(LLAMA_BUILD_COMMON OFF)
