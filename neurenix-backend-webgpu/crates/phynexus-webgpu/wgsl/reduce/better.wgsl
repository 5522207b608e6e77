
// Whether x is strictly better than y: larger, or smaller; NaN is the best of all.

fn larger_float(x: f32, y: f32) -> bool {
    if (is_nan(x) || is_nan(y)) { return is_nan(x) && !is_nan(y); }
    return float_order(x) > float_order(y);
}

fn smaller_float(x: f32, y: f32) -> bool {
    if (is_nan(x) || is_nan(y)) { return is_nan(x) && !is_nan(y); }
    return float_order(x) < float_order(y);
}

fn larger_int(x: i32, y: i32) -> bool { return x > y; }

fn smaller_int(x: i32, y: i32) -> bool { return x < y; }

fn larger_long(x: vec2<u32>, y: vec2<u32>) -> bool { return less_long(y, x); }

fn smaller_long(x: vec2<u32>, y: vec2<u32>) -> bool { return less_long(x, y); }
