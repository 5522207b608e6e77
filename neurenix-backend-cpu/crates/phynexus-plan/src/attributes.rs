//! Attributes of ops: what of an op is no tensor.

use std::collections::BTreeMap;

use phynexus_kernels::DType;

/// A value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Attribute {
    /// Nothing, where an attribute may be left out.
    None,
    /// A truth value.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A number.
    Float(f64),
    /// A word, such as the name of a variant.
    Text(String),
    /// A dtype.
    DType(DType),
    /// A sequence.
    List(Vec<Attribute>),
}

/// Attributes by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attributes(BTreeMap<String, Attribute>);

impl FromIterator<(String, Attribute)> for Attributes {
    fn from_iter<I: IntoIterator<Item = (String, Attribute)>>(entries: I) -> Self {
        Self(entries.into_iter().collect())
    }
}

impl Attributes {
    /// The attribute of a name.
    pub fn get(&self, name: &str) -> Option<&Attribute> {
        self.0.get(name)
    }

    /// An integer.
    pub fn int(&self, name: &str) -> Option<i64> {
        self.get(name)?.as_int()
    }

    /// A size or a count.
    pub fn size(&self, name: &str) -> Option<usize> {
        usize::try_from(self.int(name)?).ok()
    }

    /// A number, given as a float or as an integer.
    pub fn float(&self, name: &str) -> Option<f64> {
        match self.get(name)? {
            Attribute::Float(value) => Some(*value),
            Attribute::Int(value) => Some(*value as f64),
            Attribute::Bool(value) => Some(f64::from(u8::from(*value))),
            _ => None,
        }
    }

    /// A truth value.
    pub fn bool(&self, name: &str) -> Option<bool> {
        match self.get(name)? {
            Attribute::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// A word.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.get(name)? {
            Attribute::Text(value) => Some(value),
            _ => None,
        }
    }

    /// A dtype.
    pub fn dtype(&self, name: &str) -> Option<DType> {
        match self.get(name)? {
            Attribute::DType(value) => Some(*value),
            _ => None,
        }
    }

    /// A sequence of integers.
    pub fn ints(&self, name: &str) -> Option<Vec<i64>> {
        self.get(name)?.as_list()?.iter().map(Attribute::as_int).collect()
    }

    /// A sequence of sizes.
    pub fn sizes(&self, name: &str) -> Option<Vec<usize>> {
        self.ints(name)?.into_iter().map(|value| usize::try_from(value).ok()).collect()
    }

    /// Two sizes, such as rows and columns of a window.
    pub fn pair(&self, name: &str) -> Option<[usize; 2]> {
        self.sizes(name)?.try_into().ok()
    }

    /// A sequence of pairs, such as the widths of a border.
    pub fn pairs(&self, name: &str) -> Option<Vec<(usize, usize)>> {
        let pair = |each: &Attribute| match each.as_list()? {
            [first, second] => {
                Some((usize::try_from(first.as_int()?).ok()?, usize::try_from(second.as_int()?).ok()?))
            }
            _ => None,
        };
        self.get(name)?.as_list()?.iter().map(pair).collect()
    }

    /// Two pairs: above and below, left and right.
    pub fn border(&self, name: &str) -> Option<[(usize, usize); 2]> {
        self.pairs(name)?.try_into().ok()
    }
}

impl Attribute {
    fn as_int(&self) -> Option<i64> {
        match self {
            Self::Int(value) => Some(*value),
            Self::Bool(value) => Some(i64::from(*value)),
            _ => None,
        }
    }

    fn as_list(&self) -> Option<&[Attribute]> {
        match self {
            Self::List(values) => Some(values),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_read_as_what_they_are() {
        let int = Attribute::Int;
        let border = Attribute::List(vec![
            Attribute::List(vec![int(1), int(2)]),
            Attribute::List(vec![int(0), int(3)]),
        ]);
        let attributes: Attributes = [
            ("padding".to_owned(), border),
            ("stride".to_owned(), Attribute::List(vec![int(2), int(1)])),
            ("eps".to_owned(), Attribute::Float(1e-5)),
            ("groups".to_owned(), int(-1)),
        ]
        .into_iter()
        .collect();
        assert_eq!(attributes.border("padding"), Some([(1, 2), (0, 3)]));
        assert_eq!(attributes.pair("stride"), Some([2, 1]));
        assert_eq!(attributes.float("eps"), Some(1e-5));
        assert_eq!(attributes.size("groups"), None);
        assert_eq!(attributes.pair("padding"), None);
        assert_eq!(attributes.bool("eps"), None);
    }
}
