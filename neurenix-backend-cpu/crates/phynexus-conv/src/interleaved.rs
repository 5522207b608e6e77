//! Rows of a few channels side by side, `[column][channel]`, with the padding in place.
//!
//! All channels of neighbouring taps follow each other there, and nothing is multiplied by padding of channels.

use crate::shape::ConvShape;

/// The rows that some rows of results need.
#[derive(Clone, Debug)]
pub struct Interleaved<'a> {
    shape: &'a ConvShape,
}

impl<'a> Interleaved<'a> {
    /// Of the input of a convolution of one group.
    pub fn of(shape: &'a ConvShape) -> Self {
        assert_eq!(shape.groups, 1, "one group");
        Self { shape }
    }

    fn columns(&self) -> usize {
        (self.shape.out_size()[1] - 1) * self.shape.stride[1] + self.shape.reach(1)
    }

    /// Floats of a row.
    pub fn row_len(&self) -> usize {
        self.columns() * self.shape.in_channels
    }

    /// Rows under so many rows of results.
    pub fn rows(&self, results: usize) -> usize {
        (results - 1) * self.shape.stride[0] + self.shape.reach(0)
    }

    /// The most rows of results whose rows fit so many bytes; at least 1.
    pub fn results_within(&self, bytes: usize) -> usize {
        let fits = |results: &usize| self.rows(*results) * self.row_len() * size_of::<f32>() <= bytes;
        (1..=self.shape.out_size()[0]).rev().find(fits).unwrap_or(1)
    }

    /// Where each run of products starts from a result's first pixel, and how long each is; the runs take the taps in
    /// order, and the channels of each.
    pub fn runs(&self) -> (Vec<isize>, usize) {
        let (shape, channels) = (self.shape, self.shape.in_channels);
        let row = |tap: usize| tap * shape.dilation[0] * self.row_len();
        if shape.dilation[1] == 1 {
            let runs = (0..shape.kernel[0]).map(|tap| row(tap) as isize).collect();
            return (runs, shape.kernel[1] * channels);
        }
        let taps = (0..shape.kernel[0]).flat_map(|y| (0..shape.kernel[1]).map(move |x| (y, x)));
        (taps.map(|(y, x)| (row(y) + x * shape.dilation[1] * channels) as isize).collect(), channels)
    }

    /// Copies the rows under `results` rows of results from row `first` on of a sample of dense NCHW.
    ///
    /// # Safety
    /// `x` is valid for the sample, `to` for [`rows`](Self::rows) rows.
    pub unsafe fn copy(&self, x: *const f32, first: usize, results: usize, to: *mut f32) {
        let (shape, columns) = (self.shape, self.columns());
        let channels = shape.in_channels;
        let [height, width] = shape.in_size;
        let top = (first * shape.stride[0]) as isize - shape.padding[0].0 as isize;
        let left = shape.padding[1].0.min(columns);
        let held = width.min(columns - left);
        for row in 0..self.rows(results) {
            let in_row = top + row as isize;
            // SAFETY: the row lies within the destination.
            let line = unsafe {
                std::slice::from_raw_parts_mut(to.add(row * columns * channels), columns * channels)
            };
            if in_row < 0 || in_row >= height as isize {
                line.fill(0.0);
                continue;
            }
            line[..left * channels].fill(0.0);
            line[(left + held) * channels..].fill(0.0);
            let pixels = &mut line[left * channels..(left + held) * channels];
            // SAFETY: the row lies within each plane.
            let plane = |channel: usize| unsafe {
                std::slice::from_raw_parts(x.add((channel * height + in_row as usize) * width), held)
            };
            // What most networks begin with, at the speed of the memory.
            if channels == 3 {
                let pixels = pixels.as_chunks_mut::<3>().0;
                for (((pixel, &a), &b), &c) in pixels.iter_mut().zip(plane(0)).zip(plane(1)).zip(plane(2)) {
                    *pixel = [a, b, c];
                }
                continue;
            }
            for channel in 0..channels {
                for (pixel, &value) in pixels[channel..].iter_mut().step_by(channels).zip(plane(channel)) {
                    *pixel = value;
                }
            }
        }
    }
}
