//! How many threads to use.

use crate::cgroup;
use crate::setting::{SettingError, number_from_environment};

/// The environment variable with the number of threads.
pub const NUM_THREADS: &str = "NEURENIX_NUM_THREADS";

/// The most threads that may be asked for.
pub const MAX_THREADS: usize = 1024;

/// The number of CPUs that this process may use: those of its affinity mask, and no more than its control
/// groups' quota of CPU time, rounded up. At least 1.
pub fn cpus_allowed() -> usize {
    let by_quota = cgroup::cpu_limit(&cgroup::read_file).unwrap_or(usize::MAX);
    cpus_in_affinity().min(by_quota).clamp(1, MAX_THREADS)
}

/// The number of threads that the environment asks for, or else [`cpus_allowed`].
///
/// # Errors
/// If the environment variable's value is no number from 1 to [`MAX_THREADS`].
pub fn configured_threads() -> Result<usize, SettingError> {
    Ok(number_from_environment(NUM_THREADS, 1, MAX_THREADS)?.unwrap_or_else(cpus_allowed))
}

#[cfg(all(target_os = "linux", not(miri)))]
fn cpus_in_affinity() -> usize {
    // The kernel refuses a mask smaller than its own; 8192 CPUs is more than any kernel is built for.
    const BITS: usize = u64::BITS as usize;
    let mut mask = [0_u64; 8192 / BITS];
    // SAFETY: the kernel writes at most the given number of bytes, and any bits are a valid mask.
    let status = unsafe { libc::sched_getaffinity(0, size_of_val(&mask), mask.as_mut_ptr().cast()) };
    let count: u32 = mask.iter().map(|word| word.count_ones()).sum();
    if status == 0 && count > 0 { count as usize } else { cpus_of_the_machine() }
}

#[cfg(not(all(target_os = "linux", not(miri))))]
fn cpus_in_affinity() -> usize {
    cpus_of_the_machine()
}

fn cpus_of_the_machine() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_least_one_cpu() {
        assert!((1..=MAX_THREADS).contains(&cpus_allowed()));
    }

    #[cfg(all(target_os = "linux", not(miri)))]
    #[test]
    fn affinity_is_honoured() {
        // A thread of its own: the mask belongs to the thread.
        let count = std::thread::spawn(|| {
            // SAFETY: the set is a plain bit mask, for which all zeros is a value; the calls stay inside it.
            unsafe {
                let mut all: libc::cpu_set_t = std::mem::zeroed();
                assert_eq!(libc::sched_getaffinity(0, size_of_val(&all), &mut all), 0);
                let cpu = (0..libc::CPU_SETSIZE as usize).find(|&cpu| libc::CPU_ISSET(cpu, &all)).unwrap();
                let mut one: libc::cpu_set_t = std::mem::zeroed();
                libc::CPU_SET(cpu, &mut one);
                assert_eq!(libc::sched_setaffinity(0, size_of_val(&one), &one), 0);
            }
            cpus_in_affinity()
        });
        assert_eq!(count.join().unwrap(), 1);
    }
}
