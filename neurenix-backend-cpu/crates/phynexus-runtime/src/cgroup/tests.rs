use std::collections::HashMap;
use std::path::Path;

use super::*;

/// A machine of files given as text.
fn on<T>(files: &[(&str, &str)], question: fn(Read<'_>) -> T) -> T {
    let files: HashMap<&Path, &str> = files.iter().map(|&(path, text)| (Path::new(path), text)).collect();
    question(&|path| files.get(path).map(|&text| text.to_owned()))
}

const MOUNTS_V2: (&str, &str) = (
    "/proc/self/mountinfo",
    "23 28 0:22 / /sys rw,nosuid - sysfs sysfs rw\n\
     30 23 0:26 / /sys/fs/cgroup rw,nosuid,nodev shared:4 - cgroup2 cgroup2 rw,nsdelegate\n",
);
const MOUNTS_V1: (&str, &str) = (
    "/proc/self/mountinfo",
    "32 31 0:29 /docker/abc /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct\n\
     36 31 0:32 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n",
);
const GROUPS_V1: (&str, &str) =
    ("/proc/self/cgroup", "5:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n1:name=systemd:/docker/abc\n");

#[test]
fn version_2_quota_of_the_group_and_of_those_above() {
    let files = [
        ("/proc/self/cgroup", "0::/user.slice/job.scope\n"),
        MOUNTS_V2,
        ("/sys/fs/cgroup/user.slice/cpu.max", "250000 100000\n"),
        ("/sys/fs/cgroup/user.slice/job.scope/cpu.max", "max 100000\n"),
        ("/sys/fs/cgroup/user.slice/memory.max", "8589934592\n"),
        ("/sys/fs/cgroup/user.slice/job.scope/memory.max", "max\n"),
    ];
    assert_eq!(on(&files, cpu_limit), Some(3));
    assert_eq!(on(&files, memory_limit), Some(8 << 30));
}

#[test]
fn version_2_inside_a_namespace() {
    let files = [("/proc/self/cgroup", "0::/\n"), MOUNTS_V2, ("/sys/fs/cgroup/cpu.max", "50000 100000\n")];
    assert_eq!(on(&files, cpu_limit), Some(1));
    assert_eq!(on(&files, memory_limit), None);
}

#[test]
fn version_1_in_a_container_that_sees_its_host_names() {
    let files = [
        GROUPS_V1,
        MOUNTS_V1,
        ("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "400000\n"),
        ("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n"),
        ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "1073741824\n"),
    ];
    assert_eq!(on(&files, cpu_limit), Some(4));
    assert_eq!(on(&files, memory_limit), Some(1 << 30));
}

#[test]
fn version_1_without_a_quota() {
    let files = [
        GROUPS_V1,
        MOUNTS_V1,
        ("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n"),
        ("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n"),
    ];
    assert_eq!(on(&files, cpu_limit), None);
}

#[test]
fn both_versions_at_once_give_the_lower_limit() {
    let mounts =
        format!("{}{}", MOUNTS_V1.1, "38 31 0:35 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
    let groups = format!("{}0::/\n", GROUPS_V1.1);
    let files = [
        ("/proc/self/cgroup", groups.as_str()),
        ("/proc/self/mountinfo", mounts.as_str()),
        ("/sys/fs/cgroup/unified/cpu.max", "800000 100000\n"),
        ("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "150000\n"),
        ("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n"),
    ];
    assert_eq!(on(&files, cpu_limit), Some(2));
}

#[test]
fn a_group_outside_of_what_is_mounted_falls_back_to_the_mount() {
    let files = [
        ("/proc/self/cgroup", "4:cpu:/elsewhere\n"),
        ("/proc/self/mountinfo", "32 31 0:29 /docker/abc /cpu ro - cgroup cgroup rw,cpu\n"),
        ("/cpu/cpu.cfs_quota_us", "200000\n"),
        ("/cpu/cpu.cfs_period_us", "100000\n"),
    ];
    assert_eq!(on(&files, cpu_limit), Some(2));
}

#[test]
fn a_mount_with_a_space_in_its_name() {
    let files = [
        ("/proc/self/cgroup", "0::/\n"),
        ("/proc/self/mountinfo", "30 23 0:26 / /my\\040groups rw - cgroup2 cgroup2 rw\n"),
        ("/my groups/cpu.max", "100000 100000"),
    ];
    assert_eq!(on(&files, cpu_limit), Some(1));
}

#[test]
fn nonsense_is_no_limit() {
    for text in ["", "max", "abc def", "0 100000", "100000 0", "-5 100000"] {
        let files = [("/proc/self/cgroup", "0::/\n"), MOUNTS_V2, ("/sys/fs/cgroup/cpu.max", text)];
        assert_eq!(on(&files, cpu_limit), None, "{text:?}");
    }
    assert_eq!(on(&[("/proc/self/cgroup", "garbage"), MOUNTS_V2], cpu_limit), None);
    assert_eq!(on(&[], cpu_limit), None);
    assert_eq!(on(&[], memory_limit), None);
}

#[test]
fn memory_and_swap_of_the_machine() {
    let text = "MemTotal:       16000 kB\nMemFree:         1000 kB\nSwapTotal:       2000 kB\n";
    assert_eq!(on(&[("/proc/meminfo", text)], machine_memory), Some(16000 * 1024));
    assert_eq!(on(&[("/proc/meminfo", text)], machine_swap), Some(2000 * 1024));
    assert_eq!(on(&[("/proc/meminfo", "MemTotal: many\n")], machine_memory), None);
    assert_eq!(on(&[], machine_memory), None);
}
