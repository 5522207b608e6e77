//! How fast this processor could multiply and add: the roofline that products are measured by.

use std::hint::black_box;
use std::time::Instant;

use phynexus_runtime::parallel_for_with_threads;
use phynexus_simd::{Isa, Kernel, LANES, Simd, dispatch};

/// As many rounds of `chains` independent chains, which the registers have to hold.
#[inline(always)]
fn run_chains<S: Simd, const CHAINS: usize>(simd: S, rounds: usize) -> (f32, usize) {
    let (x, y) = (simd.splat(black_box(0.999)), simd.splat(black_box(0.001)));
    let mut sums = [simd.splat(black_box(0.5)); CHAINS];
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum = simd.fma(*sum, x, y);
        }
    }
    (sums.into_iter().map(|sum| simd.reduce_add(sum)).sum(), CHAINS)
}

struct Chains {
    rounds: usize,
}

impl Kernel for Chains {
    /// A sum that depends on all of them, and how many chains there were.
    type Output = (f32, usize);

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> (f32, usize) {
        // A chain is one register with AVX-512 and four without vectors of 8.
        match S::ISA {
            Isa::Avx512 => run_chains::<S, 16>(simd, self.rounds),
            Isa::Avx2 | Isa::Neon => run_chains::<S, 6>(simd, self.rounds),
            Isa::Portable => run_chains::<S, 3>(simd, self.rounds),
        }
    }
}

/// The most single-precision operations (a multiply-add counts as two) that `threads` threads do
/// in a nanosecond, on the instruction set in use, from registers: the best of many runs within a third of a second.
pub fn peak_gflops(threads: usize) -> f64 {
    const ROUNDS: usize = 500_000;
    let threads = threads.max(1);
    let (_, chains) = dispatch(Chains { rounds: 1 });
    let mut best = 0.0f64;
    let first = Instant::now();
    // Threads that were just started may share a processor until the system moves them.
    while first.elapsed().as_millis() < 300 {
        let start = Instant::now();
        parallel_for_with_threads(threads, threads, |_| {
            black_box(dispatch(Chains { rounds: ROUNDS }));
        });
        let operations = (2 * LANES * chains * ROUNDS * threads) as f64;
        best = best.max(operations / start.elapsed().as_nanos() as f64);
    }
    best
}
