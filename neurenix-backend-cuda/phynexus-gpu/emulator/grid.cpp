#include "emulator/grid.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <utility>
#include <vector>

#include "emulator/fiber.h"

namespace phynexus::emulator {

Position position;

namespace {

constexpr size_t kGapBytes = 64;  // poison after arrays, so that a write past the end is seen
constexpr size_t kSharedBytes = 48 << 10;  // what every GPU gives a block
constexpr unsigned char kPoison = 0xFF;    // a NaN in every float, -1 in every integer
constexpr int kLargestWarp = 64;
constexpr size_t kLargestValue = 16;

enum class Waits { kNot, kForBlock, kForWarp };

struct Thread {
  Fiber fiber;
  size_t stack = 0;
  Waits waits = Waits::kNot;
  uint64_t turn = 0;  // of the barrier or exchange that it waits at
  Site site;
  bool done = false;
};

// The lanes that exchange values. A lane is at most one exchange ahead of another, so that two sets
// of slots are enough.
struct Warp {
  uint64_t turn = 0;
  int arrived = 0;
  unsigned char slots[2][kLargestWarp][kLargestValue];
};

struct Launch {
  std::vector<Thread> threads;
  std::vector<Warp> warps;
  std::vector<int> order;
  std::vector<size_t> idle;  // stacks
  size_t stacks = 0;
  size_t next = 0;   // the place in `order` of the first thread that has not begun
  size_t limit = 0;  // the place after the last thread of the warp that runs
  int done = 0;
  uint64_t turn = 0;  // of the block's barrier
  int arrived = 0;
  Site barrier;
  std::string error;
  void (*thread)(void*) = nullptr;
  void* code = nullptr;
  uint64_t random = 0;
};

Launch launch;
Fiber scheduler;
Stacks stacks;
alignas(64) unsigned char shared[2 * kSharedBytes];  // with the gaps
size_t shared_used = 0;                              // by the present block

// Where a declaration's memory begins and ends; up to the next one, or to shared_used, is a gap.
struct Declared {
  const void* declaration;
  size_t begin;
  size_t end;
};
std::vector<Declared> declared;

std::string text(Site site) {
  const char* name = std::strrchr(site.file, '/');
  return std::string(name ? name + 1 : site.file) + ":" + std::to_string(site.line);
}

// Suspends the running thread, and never resumes it where the launch has failed.
void suspend() { switch_to(launch.threads[position.thread].fiber, scheduler); }

void fail(const std::string& reason) {
  if (launch.error.empty()) launch.error = reason;
  suspend();
}

// What every fiber does: it runs threads from the first to the last instruction. One that never
// waits costs a call; the fiber then goes on with the next.
void work() {
  for (;;) {
    int self = position.thread;
    launch.thread(launch.code);
    Thread& thread = launch.threads[self];
    thread.done = true;
    ++launch.done;
    if (launch.next < launch.limit && launch.error.empty()) {
      int other = launch.order[launch.next++];
      launch.threads[other].stack = thread.stack;
      position.thread = other;
      continue;
    }
    launch.idle.push_back(thread.stack);
    suspend();
  }
}

uint64_t random() {  // xorshift64*
  launch.random ^= launch.random >> 12;
  launch.random ^= launch.random << 25;
  launch.random ^= launch.random >> 27;
  return launch.random * 0x2545F4914F6CDD1DULL;
}

void shuffle(int* first, int count) {
  for (int i = count; i > 1; --i) std::swap(first[i - 1], first[random() % i]);
}

// Sets the order of threads: warp by warp, so that one may get far ahead of another.
void arrange(std::vector<int>& order) {
  const int count = static_cast<int>(order.size());
  const int warp_size = settings().warp_size;
  std::iota(order.begin(), order.end(), 0);
  if (settings().order == Order::kReverse) std::reverse(order.begin(), order.end());
  if (settings().order != Order::kRandom) return;
  std::vector<int> warps(count / warp_size);
  std::iota(warps.begin(), warps.end(), 0);
  shuffle(warps.data(), count / warp_size);
  for (int i = 0; i < count; ++i) {
    order[i] = warps[i / warp_size] * warp_size + i % warp_size;
  }
  for (int i = 0; i < count; i += warp_size) shuffle(&order[i], warp_size);
}

void resume(int index) {
  position.thread = index;
  switch_to(scheduler, launch.threads[index].fiber);
}

void begin(int index) {
  Thread& thread = launch.threads[index];
  if (launch.idle.empty()) launch.idle.push_back(launch.stacks++);
  thread.stack = launch.idle.back();
  launch.idle.pop_back();
  thread.fiber = stacks.start(thread.stack, work);
  resume(index);
}

bool may_go_on(const Thread& thread, int index) {
  if (thread.done) return false;
  if (thread.waits == Waits::kForBlock) return thread.turn != launch.turn;
  return thread.turn != launch.warps[index / settings().warp_size].turn;
}

// Runs the lanes of a warp, whose places in the order begin at `first`, until all of them wait for
// other warps. Returns whether any of them has moved.
bool run_warp(size_t first) {
  bool has_moved = false;
  for (bool moved = true; moved && launch.error.empty();) {
    moved = false;
    for (size_t i = first; i < first + settings().warp_size && launch.error.empty(); ++i) {
      const int index = launch.order[i];
      if (!may_go_on(launch.threads[index], index)) continue;
      moved = has_moved = true;
      resume(index);
    }
  }
  return has_moved;
}

void run_threads() {
  const size_t count = launch.threads.size();
  const size_t warp_size = settings().warp_size;
  for (size_t first = 0; first < count && launch.error.empty(); first += warp_size) {
    launch.limit = first + warp_size;
    while (launch.next < launch.limit && launch.error.empty()) begin(launch.order[launch.next++]);
    run_warp(first);
  }
  while (launch.done < static_cast<int>(count) && launch.error.empty()) {
    bool moved = false;
    for (size_t first = 0; first < count; first += warp_size) moved |= run_warp(first);
    if (moved) continue;
    for (int index : launch.order) {
      const Thread& thread = launch.threads[index];
      if (thread.done || !launch.error.empty()) continue;
      launch.error = "thread " + std::to_string(index) + " waits for others at " +
                     text(thread.site) + ", and they do not come";
    }
  }
}

void run_block() {
  std::fill(launch.threads.begin(), launch.threads.end(), Thread{});
  for (Warp& warp : launch.warps) warp.turn = warp.arrived = 0;
  launch.idle.clear();
  launch.stacks = launch.next = 0;
  launch.done = launch.arrived = 0;
  launch.turn = 0;
  std::memset(shared, kPoison, shared_used);
  shared_used = 0;
  declared.clear();
  arrange(launch.order);
  run_threads();
  if (!launch.error.empty()) return;
  for (size_t i = 0; i < declared.size(); ++i) {
    const size_t end = i + 1 < declared.size() ? declared[i + 1].begin : shared_used;
    for (size_t place = declared[i].end; place < end; ++place) {
      if (shared[place] != kPoison) launch.error = "it writes past the end of shared memory";
    }
  }
}

// 32 lanes are NVIDIA's and RDNA's, 64 are CDNA's.
bool vendor_has_warps_of(int lanes) {
#if defined(PHYNEXUS_HIP)
  if (lanes == 64) return true;
#endif
  return lanes == 32;
}

Settings from_environment() {
  Settings found;
  if (const char* warp = std::getenv("PHYNEXUS_EMULATED_WARP")) found.warp_size = std::atoi(warp);
  if (!vendor_has_warps_of(found.warp_size)) {
    throw std::invalid_argument("PHYNEXUS_EMULATED_WARP must be 32, or 64 where AMD is emulated");
  }
  if (const char* order = std::getenv("PHYNEXUS_EMULATED_ORDER")) set_order(found, order);
  if (const char* site = std::getenv("PHYNEXUS_EMULATED_WITHOUT_BARRIER")) {
    found.without_barrier = site;
  }
  return found;
}

}  // namespace

void set_order(Settings& settings, const std::string& name) {
  if (name == "forward" || name == "reverse") {
    settings.order = name == "forward" ? Order::kForward : Order::kReverse;
    return;
  }
  size_t read = 0;
  try {
    settings.seed = std::stoull(name, &read);
  } catch (const std::logic_error&) {
  }
  if (name.empty() || read != name.size()) {
    throw std::invalid_argument("an order of threads is forward, reverse or a seed, not " + name);
  }
  settings.order = Order::kRandom;
}

Settings& settings() {
  static Settings kept = from_environment();
  return kept;
}

void run(Blocks blocks, int threads, void (*thread)(void*), void* code) {
  if (threads <= 0 || threads % kLargestWarp || threads > 1024) {
    throw LaunchError("a block has 64, 128 … 1024 threads, not " + std::to_string(threads));
  }
  const int64_t count = blocks.x * blocks.y * blocks.z;
  const bool fits = blocks.x < int64_t{1} << 31 && blocks.y < 65536 && blocks.z < 65536;
  if (count <= 0 || !fits) throw LaunchError("there is no grid of such a size");
  launch.threads.assign(threads, Thread{});
  launch.warps.resize(threads / settings().warp_size);
  launch.order.resize(threads);
  launch.error.clear();
  launch.thread = thread;
  launch.code = code;
  launch.random = settings().seed * 2 + 1;
  position.threads = threads;
  position.blocks_x = blocks.x;
  const bool backwards = settings().order == Order::kReverse;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t block = backwards ? count - 1 - i : i;
    position.block_x = block % blocks.x;
    position.block_y = static_cast<int>(block / blocks.x % blocks.y);
    position.block_z = static_cast<int>(block / blocks.x / blocks.y);
    run_block();
    if (!launch.error.empty()) throw LaunchError(launch.error);
  }
}

void wait_for_block(Site site) {
  Thread& thread = launch.threads[position.thread];
  if (!settings().without_barrier.empty() && settings().without_barrier == text(site)) return;
  if (launch.arrived == 0) {
    launch.barrier = site;
  } else if (site.line != launch.barrier.line || std::strcmp(site.file, launch.barrier.file) != 0) {
    fail("threads of a block wait at " + text(launch.barrier) + " and at " + text(site));
  }
  thread.waits = Waits::kForBlock;
  thread.turn = launch.turn;
  thread.site = site;
  if (++launch.arrived == position.threads) {
    launch.arrived = 0;
    ++launch.turn;
  }
  suspend();
}

namespace {

// Waits until all lanes of the warp have put a value down, and returns where those are.
const unsigned char (&meet(const void* value, size_t size, Site site))
    [kLargestWarp][kLargestValue] {
      Thread& thread = launch.threads[position.thread];
      Warp& warp = launch.warps[position.thread / settings().warp_size];
      if (size > kLargestValue) fail("a value of " + std::to_string(size) + " bytes is exchanged");
      auto& slots = warp.slots[warp.turn % 2];
      std::memcpy(slots[position.thread % settings().warp_size], value, size);
      thread.waits = Waits::kForWarp;
      thread.turn = warp.turn;
      thread.site = site;
      if (++warp.arrived == settings().warp_size) {
        warp.arrived = 0;
        ++warp.turn;
      }
      suspend();
      return slots;
    }

}  // namespace

void exchange(void* value, size_t size, int lane, Site site) {
  if (lane < 0 || lane >= settings().warp_size) fail("there is no lane " + std::to_string(lane));
  std::memcpy(value, meet(value, size, site)[lane], size);
}

void exchange_all(const void* value, size_t size, void* values, Site site) {
  const auto& slots = meet(value, size, site);
  for (int lane = 0; lane < settings().warp_size; ++lane) {
    std::memcpy(static_cast<unsigned char*>(values) + lane * size, slots[lane], size);
  }
}

void* shared_memory(const void* declaration, size_t size) {
  for (const Declared& known : declared) {
    if (known.declaration == declaration) return shared + known.begin;
  }
  size_t asked = size;
  for (const Declared& known : declared) asked += known.end - known.begin;
  if (asked > kSharedBytes) fail("a block has 48 KiB of shared memory");
  const size_t begin = shared_used;
  shared_used = (begin + size + 15) / 16 * 16 + kGapBytes;
  std::memset(shared + begin, kPoison, shared_used - begin);
  declared.push_back({declaration, begin, begin + size});
  return shared + begin;
}

}  // namespace phynexus::emulator
