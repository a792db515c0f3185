//! Numbers of 16 bits (IEEE 754 binary16), which weights are kept in.

/// The same number in 32 bits, exactly.
pub(crate) fn widened(half: u16) -> f32 {
    let sign = u32::from(half >> 15) << 31;
    let (exponent, fraction) = (u32::from(half >> 10 & 0x1f), u32::from(half & 0x3ff));
    let bits = match (exponent, fraction) {
        (0, 0) => sign,
        // Too small for an exponent of its own: the first set bit becomes the hidden one.
        (0, _) => {
            let shift = fraction.leading_zeros() - 21;
            sign | ((113 - shift) << 23) | ((fraction << shift & 0x3ff) << 13)
        }
        (31, _) => sign | 0x7f80_0000 | (fraction << 13),
        _ => sign | ((exponent + 112) << 23) | (fraction << 13),
    };
    f32::from_bits(bits)
}

/// The nearest number in 16 bits; halfway, the even one. What is too large becomes infinite.
pub(crate) fn narrowed(number: f32) -> u16 {
    let bits = number.to_bits();
    let sign = (bits >> 16 & 0x8000) as u16;
    let magnitude = bits & 0x7fff_ffff;
    if magnitude > 0x7f80_0000 {
        return sign | 0x7e00;
    }
    // From 65520 on it rounds to infinity.
    if magnitude >= 0x477f_f000 {
        return sign | 0x7c00;
    }
    // Below 2^-14 the steps are of one size; the hidden bit is written out and shifted to them.
    if magnitude < 0x3880_0000 {
        let exponent = magnitude >> 23;
        let shift = 126u32.saturating_sub(exponent);
        if shift > 24 {
            return sign;
        }
        return sign | rounded(magnitude & 0x7f_ffff | 0x80_0000, shift) as u16;
    }
    sign | rounded(magnitude - (112 << 23), 13) as u16
}

/// Shifts right; to the nearest, halfway to the even one.
fn rounded(number: u32, shift: u32) -> u32 {
    let kept = number >> shift;
    let (rest, half) = (number & ((1 << shift) - 1), 1 << (shift - 1));
    kept + u32::from(rest > half || (rest == half && kept & 1 == 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_numbers() {
        for (half, number) in [
            (0x0000, 0.0),
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x7bff, 65504.0),
            (0x0001, 5.960_464_5e-8),
            (0x03ff, 6.097_555e-5),
            (0x0400, 6.103_515_6e-5),
            (0x3555, 0.333_251_95),
            (0x7c00, f32::INFINITY),
        ] {
            assert_eq!(widened(half), number, "{half:#x}");
            assert_eq!(narrowed(number), half, "{number}");
        }
        // Halfway between 1 and the next number goes to the even one, a little more goes up.
        assert_eq!(narrowed(1.0 + 1.0 / 2048.0), 0x3c00);
        assert_eq!(narrowed(1.0 + 1.1 / 2048.0), 0x3c01);
        assert_eq!(narrowed(1.0 + 3.0 / 2048.0), 0x3c02);
        assert_eq!(narrowed(65519.0), 0x7bff);
        assert_eq!(narrowed(65520.0), 0x7c00);
        assert_eq!(narrowed(1e-8), 0);
        assert_eq!(narrowed(2.0f32.powi(-25)), 0);
        assert_eq!(narrowed(2.0f32.powi(-25) * 1.01), 1);
    }

    #[test]
    fn every_number_of_16_bits_survives_and_what_lies_between_goes_to_a_neighbour() {
        for half in 0..=u16::MAX {
            let number = widened(half);
            if number.is_nan() {
                assert!(widened(narrowed(number)).is_nan());
                continue;
            }
            assert_eq!(narrowed(number), half, "{half:#x}");
            let next = widened(half.wrapping_add(1));
            if half & 0x7fff < 0x7bff {
                let near = number + (next - number) * 0.49;
                assert_eq!(narrowed(near), half, "{near}");
                let far = number + (next - number) * 0.51;
                assert_eq!(narrowed(far), half + 1, "{far}");
            }
        }
    }
}
