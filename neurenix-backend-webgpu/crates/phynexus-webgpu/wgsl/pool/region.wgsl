
// The regions of an axis: the one of a number goes from floor(number size / count) to before
// ceil((number + 1) size / count).

fn region_start(number: u32, size: u32, count: u32) -> u32 { return number * size / count; }

fn region_end(number: u32, size: u32, count: u32) -> u32 { return ((number + 1u) * size + count - 1u) / count; }
