
// Notes which value comes last: its number along the axis, plus 1.
fn note_last(element: u32, value: Value, along: u32) { out_max(params.out_offset + element, along + 1u); }
