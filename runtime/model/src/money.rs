//! Money is an integer number of kopecks.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Neg, Sub};

use serde::{Deserialize, Serialize};

/// A sum in kopecks of the Russian rouble; negative when it is owed. Overflow is a bug and stops the task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Kopecks(pub i64);

impl Kopecks {
    /// Nothing at all.
    pub const ZERO: Self = Self(0);

    /// `count` things at this price each.
    pub fn times(self, count: u64) -> Self {
        let count = i64::try_from(count).expect("counts of seconds, segments and answers are far below 2^63");
        Self(self.0.checked_mul(count).expect("a sum of money fits in 63 bits"))
    }
}

impl Add for Kopecks {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.checked_add(other.0).expect("a sum of money fits in 63 bits"))
    }
}

impl Sub for Kopecks {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.checked_sub(other.0).expect("a sum of money fits in 63 bits"))
    }
}

impl AddAssign for Kopecks {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Neg for Kopecks {
    type Output = Self;
    fn neg(self) -> Self {
        Self(-self.0)
    }
}

impl Sum for Kopecks {
    fn sum<I: Iterator<Item = Self>>(sums: I) -> Self {
        sums.fold(Self::ZERO, Add::add)
    }
}

/// Prints roubles and kopecks the Russian way: `1 234,05 ₽`.
impl fmt::Display for Kopecks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let roubles = (self.0 / 100).unsigned_abs().to_string();
        let sign = if self.0 < 0 { "−" } else { "" };
        let mut grouped = String::new();
        for (i, digit) in roubles.chars().enumerate() {
            if i > 0 && (roubles.len() - i).is_multiple_of(3) {
                grouped.push(' ');
            }
            grouped.push(digit);
        }
        f.pad(&format!("{sign}{grouped},{:02} ₽", (self.0 % 100).unsigned_abs()))
    }
}

#[cfg(test)]
mod tests {
    use super::Kopecks;

    #[test]
    fn sums_print_as_a_russian_bookkeeper_writes_them() {
        for (kopecks, text) in [
            (0, "0,00 ₽"),
            (5, "0,05 ₽"),
            (128, "1,28 ₽"),
            (123_405, "1 234,05 ₽"),
            (-705, "−7,05 ₽"),
            (-5, "−0,05 ₽"),
        ] {
            assert_eq!(Kopecks(kopecks).to_string(), text);
        }
    }
}
