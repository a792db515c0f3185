//! Ids for leads of lists that have none.

use zvonar_model::{LeadId, PhoneNumber};

/// The id of a lead who is known by a number alone: the same number gives the same id, two numbers never give one.
///
/// Ids are written to logs and into SIP headers, where no whole number may stand, so this is the number with its bits
/// mixed. That hides it from a glance, not from somebody who wants to work it out.
pub fn lead_id(number: &PhoneNumber) -> LeadId {
    // At most 15 digits; a leading 1 keeps numbers apart that begin with zeros.
    let digits = number.digits().bytes().fold(1_u64, |sum, digit| sum * 10 + u64::from(digit - b'0'));
    LeadId::new(&format!("n{:016x}", mixed(digits))).expect("letters and digits, 17 of them")
}

/// Every step can be undone, so no two values become one (the finaliser of SplitMix64).
fn mixed(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn id(text: &str) -> String {
        lead_id(&PhoneNumber::parse(text).unwrap()).to_string()
    }

    #[test]
    fn a_number_has_one_id_and_an_id_one_number() {
        assert_eq!(id("8 (916) 123-45-67"), id("+79161234567"));
        // Stored lists name their leads by it, so it stays what it is.
        assert_eq!(id("+79161234567"), "n57f293e6aa0347a4");
        let ids: BTreeSet<String> = (0..20_000)
            .map(|n| {
                let id = id(&format!("+7916{n:07}"));
                assert!(!id.contains(&format!("{n:07}")), "{id} shows its number");
                id
            })
            .collect();
        assert_eq!(ids.len(), 20_000);
        assert_ne!(id("+0012345678"), id("+012345678"));
    }
}
