// Runs the threads of a launch on the host, one at a time, as the launch model allows.
//
// Every thread runs until it has to wait: at a barrier, or for the lanes of its warp. It is then
// put aside, and the next one runs. A thread that finds in shared memory what another was to have
// put there first has been lucky on a GPU; here it finds poison, in one order of threads or
// another.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>

namespace phynexus::emulator {

enum class Order { kForward, kReverse, kRandom };

// How threads are run; read from the environment at the first launch.
struct Settings {
  int warp_size = 32;             // PHYNEXUS_EMULATED_WARP: 32, or 64 of AMD alone
  Order order = Order::kForward;  // PHYNEXUS_EMULATED_ORDER: forward, reverse or a seed
  uint64_t seed = 0;
  // PHYNEXUS_EMULATED_WITHOUT_BARRIER: the file:line of a barrier that is left out, to see that a
  // test finds it missing.
  std::string without_barrier;
};

Settings& settings();

// Sets the order from its name: "forward", "reverse", or a seed.
//
// Throws std::invalid_argument where it is none of these.
void set_order(Settings& settings, const std::string& name);

// A kernel broke the rules of the launch model.
class LaunchError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Where the running thread is.
struct Position {
  int thread = 0;
  int threads = 0;
  int64_t block_x = 0;
  int block_y = 0;
  int block_z = 0;
  int64_t blocks_x = 0;
};

extern Position position;

// A line of a kernel.
struct Site {
  const char* file = nullptr;
  int line = 0;
};

struct Blocks {
  int64_t x;
  int y;
  int z;
};

// Runs `thread(code)` for each thread of each block.
//
// Throws LaunchError where threads wait for others that never come.
void run(Blocks blocks, int threads, void (*thread)(void*), void* code);

// What kernels call.
void wait_for_block(Site site);
void exchange(void* value, size_t size, int lane, Site site);
// Gives a lane the values, of at most 16 bytes, of all lanes of its warp.
void exchange_all(const void* value, size_t size, void* values, Site site);
// The memory of one declaration, which all threads of a block share. As on a GPU, it is the same
// however often the function that declares it is called.
void* shared_memory(const void* declaration, size_t size);

}  // namespace phynexus::emulator
