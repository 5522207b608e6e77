//! Values in narrow blocks of channels.

use super::Builder;
use crate::error::CompileError;
use crate::fusion::is_blockable;
use crate::memory::Place;
use crate::precision::{Format, Precision, quantization};
use crate::program::{Origin, ValueId};
use crate::steps::{Narrow, Widen};

impl Builder<'_> {
    /// The form in which the plan keeps a value that lies in narrow blocks of channels, or would keep
    /// it there; None where it has no such form.
    pub fn format(&self, value: ValueId) -> Option<Format> {
        if let Some(&(_, format)) = self.narrow.get(&value) {
            return Some(format);
        }
        if !is_blockable(self.program, value) {
            return None;
        }
        match self.program.precision {
            Precision::Float32 => None,
            Precision::Bfloat16 => Some(Format::Bfloat16),
            Precision::Int8 => quantization(self.program, self.uses, value).map(Format::Int8),
        }
    }

    /// Whether a value lies in narrow blocks already.
    pub fn is_narrow(&self, value: ValueId) -> bool {
        self.narrow.contains_key(&value)
    }

    /// A value that the step at hand reads in narrow blocks of channels, of the form that `format`
    /// tells.
    ///
    /// # Errors
    /// As for `dense_input`.
    pub fn narrow_blocks(&mut self, value: ValueId, format: Format) -> Result<Place, CompileError> {
        if !self.narrow.contains_key(&value) {
            let count = self.planes(value).count();
            let buffer = self.buffer(Origin::Run, count * format.bytes());
            self.try_aside(|builder| {
                let from = builder.blocks(value)?;
                builder.touch(buffer);
                let to = Place::start(buffer);
                builder.push(format!("to {}", format.name()), Narrow { count, format, from, to });
                Ok(())
            })?;
            self.narrow.insert(value, (buffer, format));
        }
        let (buffer, _) = self.narrow[&value];
        Ok(Place::start(self.touch(buffer)))
    }

    /// A value that the step at hand writes in narrow blocks of channels, of this form.
    pub fn narrow_output(&mut self, value: ValueId, format: Format) -> Place {
        let buffer = self.buffer(Origin::Run, self.planes(value).count() * format.bytes());
        self.narrow.insert(value, (buffer, format));
        self.behind.insert(self.value(value).storage, value);
        Place::start(self.touch(buffer))
    }

    /// Brings a value that lies in narrow blocks alone to blocks of floats, before the step at hand.
    pub(super) fn widen(&mut self, value: ValueId) {
        let Some(&(narrow, format)) = self.narrow.get(&value) else { return };
        if self.blocked.contains_key(&value) {
            return;
        }
        let planes = self.planes(value);
        let buffer = self.buffer(Origin::Run, planes.count() * size_of::<f32>());
        self.aside(|builder| {
            let from = Place::start(builder.touch(narrow));
            let to = Place::start(builder.touch(buffer));
            builder.push(format!("from {}", format.name()), Widen { planes, format, from, to });
        });
        self.blocked.insert(value, buffer);
    }
}
