
fn note_place(number: u32, place: u32) { places_put(params.places_offset + number, vec2<u32>(place, 0u)); }
