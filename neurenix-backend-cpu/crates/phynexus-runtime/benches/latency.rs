//! What a region, a barrier and a block of memory cost: `cargo bench -p phynexus-runtime`.

use std::hint::black_box;
use std::time::{Duration, Instant};

use phynexus_runtime::memory::{Block, set_cache_limit};
use phynexus_runtime::scratch::with_scratch;
use phynexus_runtime::{Worker, cpus_allowed, parallel_for, parallel_region, set_threads, threads};

/// Prints the best, the median and the 99th percentile of many times, divided by `per` repetitions each.
fn report(name: &str, per: u32, mut times: Vec<Duration>) {
    times.sort();
    let [best, median, late] = [0, times.len() / 2, times.len() * 99 / 100]
        .map(|index| times[index].as_nanos() as f64 / f64::from(per));
    println!("{name:<44} best {best:>9.1} ns   median {median:>9.1} ns   p99 {late:>9.1} ns");
}

fn measure(name: &str, samples: usize, per: u32, mut run: impl FnMut()) {
    let times = (0..samples)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..per {
                run();
            }
            start.elapsed()
        })
        .collect();
    report(name, per, times);
}

/// Times a step that a region repeats.
fn measure_steps(name: &str, step: impl Fn(&Worker<'_>) + Sync) {
    const STEPS: u32 = 100;
    let times = (0..2000)
        .map(|_| {
            let start = Instant::now();
            parallel_region(|worker| (0..STEPS).for_each(|_| step(worker)));
            start.elapsed()
        })
        .collect();
    report(&format!("{name}, one of {STEPS} in a region"), STEPS, times);
}

/// Times `run` after pauses in which the workers fall asleep.
fn measure_cold(name: &str, pause: Duration, run: impl Fn()) {
    let times = (0..300)
        .map(|_| {
            std::thread::sleep(pause);
            let start = Instant::now();
            run();
            start.elapsed()
        })
        .collect();
    report(name, 1, times);
}

fn main() {
    let count = threads();
    println!("{count} threads");
    parallel_for(count, |_| ());

    measure("parallel_for, 2 empty tasks, hot", 20_000, 1, || parallel_for(2, |task| _ = black_box(task)));
    // Both threads must take part: the one is not done before the other has begun.
    measure("parallel_region, empty, hot", 20_000, 1, || {
        parallel_region(|worker| _ = black_box(worker.index()))
    });
    let pause = Duration::from_micros(500);
    measure_cold("parallel_for, 2 empty tasks, cold", pause, || parallel_for(2, |task| _ = black_box(task)));
    measure_cold("parallel_region, empty, cold", pause, || {
        parallel_region(|worker| _ = black_box(worker.index()))
    });
    measure_steps("barrier", |worker| worker.barrier());
    measure_steps("for_each of 2 empty tasks", |worker| worker.for_each(2, |task| _ = black_box(task)));
    measure("nested parallel_for of one task", 1000, 1000, || parallel_for(1, |task| _ = black_box(task)));

    set_cache_limit(1 << 30);
    for bytes in [64, 4096, 1 << 20, 32 << 20] {
        measure(&format!("Block of {bytes} bytes, new and drop"), 1000, 1000, || {
            drop(black_box(Block::new(bytes).expect("memory")));
        });
    }
    measure("Vec of 4096 bytes, new and drop", 1000, 1000, || {
        drop(black_box(Vec::<u8>::with_capacity(4096)))
    });
    measure("with_scratch(4096)", 1000, 1000, || {
        with_scratch(4096, |address| _ = black_box(address)).expect("memory")
    });
    let times: Vec<_> = std::thread::scope(|scope| {
        let run = || {
            let start = Instant::now();
            for _ in 0..1_000_000 {
                drop(black_box(Block::new(4096).expect("memory")));
            }
            start.elapsed()
        };
        [scope.spawn(run), scope.spawn(run)].map(|thread| thread.join().expect("no panic")).into()
    });
    report("Block of 4096 bytes, 2 threads at once", 1_000_000, times);

    let many = 3 * cpus_allowed();
    set_threads(many).expect("a possible number");
    println!("{many} threads on {} CPUs", cpus_allowed());
    measure("parallel_for, 2 empty tasks, hot", 2000, 1, || parallel_for(2, |task| _ = black_box(task)));
    measure("parallel_region, empty, hot", 2000, 1, || {
        parallel_region(|worker| _ = black_box(worker.index()))
    });
    measure_steps("barrier", |worker| worker.barrier());
}
