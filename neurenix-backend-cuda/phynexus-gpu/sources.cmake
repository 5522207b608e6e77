# The sources that CUDA, HIP and the emulation share. All of them are compiled for the device: the
# binding launches nothing, but sees the same types as the kernels do.
set(phynexus_gpu_folder ${CMAKE_CURRENT_LIST_DIR})
file(GLOB phynexus_gpu_sources CONFIGURE_DEPENDS
     ${phynexus_gpu_folder}/binding/*.cpp
     ${phynexus_gpu_folder}/kernels/*.cpp
     ${phynexus_gpu_folder}/libraries/*.cpp
     ${phynexus_gpu_folder}/runtime/*.cpp)
