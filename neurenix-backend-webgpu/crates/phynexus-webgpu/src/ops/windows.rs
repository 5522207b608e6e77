//! The attributes of ops that look at images through windows.

use crate::attributes::{Attributes, Value};
use crate::error::{Error, Result};

/// How windows lie on images.
#[derive(Clone, Copy, Debug)]
pub struct Windows {
    /// Rows and columns of a window.
    pub kernel: [usize; 2],
    /// Steps between windows.
    pub stride: [usize; 2],
    /// Rows above, columns to the left of an image.
    pub padding: [usize; 2],
    /// Steps between a window's elements.
    pub dilation: [usize; 2],
}

impl Windows {
    /// Windows of a size, as the attributes `stride` and `padding` have them, and `dilation` if there
    /// is such.
    ///
    /// # Errors
    /// An attribute is missing, or something else.
    pub fn of(attributes: &Attributes, kernel: [usize; 2]) -> Result<Self> {
        let dilation = match attributes.get("dilation") {
            Ok(_) => pair(attributes, "dilation")?,
            Err(_) => [1, 1],
        };
        let stride = pair(attributes, "stride")?;
        Ok(Self { kernel, stride, padding: starts(attributes)?, dilation })
    }

    /// Elements of a window.
    pub fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }
}

/// An attribute of two sizes: of rows and of columns.
///
/// # Errors
/// It is missing, or something else.
pub fn pair(attributes: &Attributes, name: &str) -> Result<[usize; 2]> {
    let sizes = attributes.sizes(name)?;
    match *sizes.as_slice() {
        [rows, columns] => Ok([rows, columns]),
        _ => Err(Error::Value(format!("the attribute {name:?} is {sizes:?}, and should be a pair"))),
    }
}

/// Of the attribute `padding`, ((top, bottom), (left, right)), the first of each.
fn starts(attributes: &Attributes) -> Result<[usize; 2]> {
    let value = attributes.get("padding")?;
    let first = |side: &Value| match side {
        Value::List(ends) => match ends.first() {
            Some(Value::Int(start)) => usize::try_from(*start).ok(),
            _ => None,
        },
        _ => None,
    };
    if let Value::List(sides) = value
        && let [Some(top), Some(left)] = *sides.iter().map(first).collect::<Vec<_>>().as_slice()
    {
        return Ok([top, left]);
    }
    Err(Error::Value(format!("the attribute \"padding\" is {value:?}, and should be two pairs")))
}
