
fn forget_place(number: u32, place: u32) {}
