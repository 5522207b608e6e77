//! The limits that Linux control groups put on this process, from versions 1 and 2 alike.

use std::path::{Path, PathBuf};

/// Reads a file; None if there is none. A parameter, so that tests need no control groups.
pub type Read<'a> = &'a dyn Fn(&Path) -> Option<String>;

/// Reads files of this machine. Miri, which interprets the tests, has none.
pub fn read_file(path: &Path) -> Option<String> {
    if cfg!(miri) { None } else { std::fs::read_to_string(path).ok() }
}

/// How many CPUs' time the groups of this process may use, in whole CPUs, rounded up.
pub fn cpu_limit(read: Read<'_>) -> Option<usize> {
    let v2 = directories(Version::Two, read)
        .into_iter()
        .filter_map(|directory| quota_v2(&read(&directory.join("cpu.max"))?));
    let v1 = directories(Version::One("cpu"), read).into_iter().filter_map(|directory| {
        quota_v1(&read(&directory.join("cpu.cfs_quota_us"))?, &read(&directory.join("cpu.cfs_period_us"))?)
    });
    v2.chain(v1).min()
}

/// How many bytes of memory the groups of this process may use.
pub fn memory_limit(read: Read<'_>) -> Option<usize> {
    let v2 = directories(Version::Two, read).into_iter().map(|directory| directory.join("memory.max"));
    let v1 = directories(Version::One("memory"), read)
        .into_iter()
        .map(|directory| directory.join("memory.limit_in_bytes"));
    v2.chain(v1).filter_map(|file| bytes(&read(&file)?)).min()
}

/// The machine's memory, in bytes.
pub fn machine_memory(read: Read<'_>) -> Option<usize> {
    from_meminfo("MemTotal", read)
}

/// The machine's swap, in bytes.
pub fn machine_swap(read: Read<'_>) -> Option<usize> {
    from_meminfo("SwapTotal", read)
}

fn from_meminfo(name: &str, read: Read<'_>) -> Option<usize> {
    let text = read(Path::new("/proc/meminfo"))?;
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    let kib: usize = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// `"150000 100000"` is 2 CPUs, `"max 100000"` no limit.
fn quota_v2(text: &str) -> Option<usize> {
    let (quota, period) = text.trim().split_once(' ')?;
    whole_cpus(quota.parse().ok()?, period.parse().ok()?)
}

/// A quota of -1 is no limit.
fn quota_v1(quota: &str, period: &str) -> Option<usize> {
    whole_cpus(quota.trim().parse().ok()?, period.trim().parse().ok()?)
}

fn whole_cpus(quota_us: u64, period_us: u64) -> Option<usize> {
    if quota_us == 0 || period_us == 0 {
        return None;
    }
    usize::try_from(quota_us.div_ceil(period_us)).ok()
}

/// `"max"`, and version 1's largest page-aligned number, are no limits: the machine has less.
fn bytes(text: &str) -> Option<usize> {
    text.trim().parse().ok()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    /// With the controller's name.
    One(&'static str),
    Two,
}

/// The directories of this process's group and of all groups above that are visible here.
fn directories(version: Version, read: Read<'_>) -> Vec<PathBuf> {
    let find = || -> Option<Vec<PathBuf>> {
        let groups = read(Path::new("/proc/self/cgroup"))?;
        let mounts = read(Path::new("/proc/self/mountinfo"))?;
        let group = groups.lines().find_map(|line| group_in(line, version))?;
        let (root, mount) = mounts.lines().find_map(|line| mount_in(line, version))?;
        // In a container the group may be named as the host sees it, above what is mounted here.
        let below = Path::new(group).strip_prefix(&root).unwrap_or(Path::new(""));
        let below = below.strip_prefix("/").unwrap_or(below);
        let innermost = mount.join(below);
        Some(innermost.ancestors().take_while(|path| path.starts_with(&mount)).map(Path::to_owned).collect())
    };
    find().unwrap_or_default()
}

/// A line of /proc/self/cgroup: `4:cpu,cpuacct:/group` or `0::/group`.
fn group_in(line: &str, version: Version) -> Option<&str> {
    let mut fields = line.splitn(3, ':');
    let (hierarchy, controllers, group) = (fields.next()?, fields.next()?, fields.next()?);
    let is_ours = match version {
        Version::One(name) => controllers.split(',').any(|controller| controller == name),
        Version::Two => hierarchy == "0" && controllers.is_empty(),
    };
    is_ours.then_some(group)
}

/// A line of /proc/self/mountinfo: `31 23 0:28 /root /mount rw,relatime - cgroup source rw,cpu`.
fn mount_in(line: &str, version: Version) -> Option<(PathBuf, PathBuf)> {
    let (before, after) = line.split_once(" - ")?;
    let mut after = after.split(' ');
    let (kind, _source, options) = (after.next()?, after.next()?, after.next()?);
    let is_ours = match version {
        Version::One(name) => kind == "cgroup" && options.split(',').any(|option| option == name),
        Version::Two => kind == "cgroup2",
    };
    let mut before = before.split(' ').skip(3);
    let (root, mount) = (before.next()?, before.next()?);
    is_ours.then(|| (PathBuf::from(unescape(root)), PathBuf::from(unescape(mount))))
}

/// The kernel writes space, tab, newline and backslash in mountinfo as a backslash and three octal digits.
fn unescape(text: &str) -> String {
    let mut out = text.to_owned();
    for (code, character) in [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")] {
        out = out.replace(code, character);
    }
    out
}

#[cfg(test)]
mod tests;
