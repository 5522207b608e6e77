
// An index as a place from 0 to size - 1; any other is noted as a fault of the op, and becomes NOWHERE.
const NOWHERE: u32 = 0xffffffffu;

fn checked(low: u32, high: u32, size: u32) -> u32 {
    if (high == 0u && low < size) { return low; }
    // Several invocations may write; whose index is reported does not matter.
    fault_put(params.fault_offset, bitcast<i32>(params.op));
    fault_put(params.fault_offset + 1u, bitcast<i32>(low));
    fault_put(params.fault_offset + 2u, bitcast<i32>(high));
    fault_put(params.fault_offset + 3u, bitcast<i32>(size));
    return NOWHERE;
}

fn place_int(index: i32, size: u32) -> u32 {
    return checked(bitcast<u32>(index), bitcast<u32>(index >> 31u), size);
}

fn place_long(index: vec2<u32>, size: u32) -> u32 { return checked(index.x, index.y, size); }
