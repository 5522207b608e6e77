// The emulated queue as a library of another language sees it: the stand-ins for the vendors'
// libraries, which the tests load, do their work in its turn through this and nothing else.
#pragma once

namespace phynexus::emulator {

struct Stream {
  // Adds work, which may be done several times. `release(data)` is called when it no longer will
  // be. Returns an error that a kernel has made before, or 0.
  int (*add)(Stream* stream, void (*work)(void* data), void* data, void (*release)(void* data));
};

}  // namespace phynexus::emulator
