//! Where a thread goes on when it is woken: not on its waker's CPU, while it may run on another one.
//!
//! Linux likes to wake a thread where its waker runs. With few CPUs that can be every time, and the thread then waits
//! there until the waker has used up its time slice, a few milliseconds later, although another CPU has nothing to do.

/// The sleeping thread that wakers place.
#[cfg(all(target_os = "linux", not(miri), not(loom)))]
pub struct Placement {
    thread: Option<libc::pid_t>,
    /// Where it may run again, once it is awake.
    allowed: Option<libc::cpu_set_t>,
}

#[cfg(all(target_os = "linux", not(miri), not(loom)))]
impl Placement {
    /// Of nobody.
    pub const fn new() -> Self {
        Self { thread: None, allowed: None }
    }

    /// This thread is going to sleep. Whether it is the one that wakers place: they place one at a time.
    pub fn enter(&mut self) -> bool {
        let is_free = self.thread.is_none();
        if is_free {
            // SAFETY: it only asks.
            self.thread = Some(unsafe { libc::gettid() });
        }
        is_free
    }

    /// This thread, for which [`enter`](Self::enter) was true, is awake, and may run wherever it might before.
    pub fn leave(&mut self) {
        self.thread = None;
        if let Some(allowed) = self.allowed.take() {
            // SAFETY: the set is a plain bit mask.
            unsafe { libc::sched_setaffinity(0, size_of_val(&allowed), &allowed) };
        }
    }

    /// Lets the sleeping thread wake on other CPUs than this thread's only.
    pub fn steer(&mut self) {
        let (Some(thread), None) = (self.thread, &self.allowed) else { return };
        // SAFETY: a set is a plain bit mask, for which all zeros is a value; the calls stay inside it.
        unsafe {
            let mut allowed: libc::cpu_set_t = std::mem::zeroed();
            let len = size_of_val(&allowed);
            let Ok(cpu) = usize::try_from(libc::sched_getcpu()) else { return };
            // Refused by machines with more CPUs than a set has.
            if libc::sched_getaffinity(thread, len, &mut allowed) != 0 || cpu >= 8 * len {
                return;
            }
            let mut others = allowed;
            libc::CPU_CLR(cpu, &mut others);
            // Refused where there are no others.
            if libc::CPU_ISSET(cpu, &allowed) && libc::sched_setaffinity(thread, len, &others) == 0 {
                self.allowed = Some(allowed);
            }
        }
    }
}

/// Leaves threads where the system puts them.
#[cfg(not(all(target_os = "linux", not(miri), not(loom))))]
pub struct Placement;

#[cfg(not(all(target_os = "linux", not(miri), not(loom))))]
impl Placement {
    pub const fn new() -> Self {
        Self
    }

    pub fn enter(&mut self) -> bool {
        false
    }

    pub fn leave(&mut self) {}

    pub fn steer(&mut self) {}
}

#[cfg(all(test, target_os = "linux", not(miri), not(loom)))]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    fn allowed(thread: libc::pid_t) -> Vec<usize> {
        // SAFETY: as in `steer`.
        unsafe {
            let mut set: libc::cpu_set_t = std::mem::zeroed();
            assert_eq!(libc::sched_getaffinity(thread, size_of_val(&set), &mut set), 0);
            (0..libc::CPU_SETSIZE as usize).filter(|&cpu| libc::CPU_ISSET(cpu, &set)).collect()
        }
    }

    /// Keeps this thread to some CPUs.
    fn keep_to(cpus: &[usize]) {
        // SAFETY: as in `steer`.
        unsafe {
            let mut set: libc::cpu_set_t = std::mem::zeroed();
            cpus.iter().for_each(|&cpu| libc::CPU_SET(cpu, &mut set));
            assert_eq!(libc::sched_setaffinity(0, size_of_val(&set), &set), 0);
        }
    }

    /// Where a thread kept to `cpus` may run once it was placed by one kept to `waker`, and when it is awake again.
    fn placed(cpus: Vec<usize>, waker: usize) -> [Vec<usize>; 2] {
        let (to_waker, placements) = channel();
        let (to_sleeper, placed) = channel::<Placement>();
        let sleeper = std::thread::spawn(move || {
            keep_to(&cpus);
            let mut placement = Placement::new();
            assert!(placement.enter());
            assert!(!placement.enter(), "one at a time");
            to_waker.send(placement).unwrap();
            placed.recv().unwrap().leave();
            allowed(0)
        });
        let placement = std::thread::spawn(move || {
            keep_to(&[waker]);
            let mut placement = placements.recv().unwrap();
            placement.steer();
            placement.steer();
            placement
        });
        let placement = placement.join().unwrap();
        let meanwhile = allowed(placement.thread.unwrap());
        to_sleeper.send(placement).unwrap();
        [meanwhile, sleeper.join().unwrap()]
    }

    #[test]
    fn a_thread_wakes_elsewhere_and_may_return() {
        let all = allowed(0);
        for &waker in all.iter().take(4) {
            let others: Vec<usize> = all.iter().copied().filter(|&cpu| cpu != waker).collect();
            if others.is_empty() {
                continue;
            }
            assert_eq!(placed(all.clone(), waker), [others.clone(), all.clone()]);
            assert_eq!(placed(others.clone(), waker), [others.clone(), others]);
        }
    }

    #[test]
    fn a_thread_with_one_cpu_keeps_it() {
        let cpu = allowed(0)[0];
        assert_eq!(placed(vec![cpu], cpu), [vec![cpu], vec![cpu]]);
    }

    #[test]
    fn nobody_is_not_placed() {
        let mut placement = Placement::new();
        placement.steer();
        assert!(placement.allowed.is_none());
    }
}
