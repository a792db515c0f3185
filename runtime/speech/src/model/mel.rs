//! Whisper's filters from frequencies to pitches, which a model file carries (Slaney's, as librosa makes them).

/// The frequencies of its transform, of 400 samples at 16 kHz.
pub(crate) const BINS: usize = 201;
/// Steps of the scale up to 8 kHz.
const HIGHEST_MEL: f64 = 45.245640471924965;

/// `count` filters of [`BINS`] weights each.
pub(crate) fn filters(count: usize) -> Vec<f32> {
    let step = HIGHEST_MEL / (count + 1) as f64;
    let hz: Vec<f64> = (0..count + 2)
        .map(|n| {
            let mel = if n == count + 1 { HIGHEST_MEL } else { n as f64 * step };
            // Linear up to 1 kHz, logarithmic above.
            let linear = 200.0 / 3.0 * mel;
            let bend = 1000.0 / (200.0 / 3.0);
            if mel >= bend { 1000.0 * (6.4_f64.ln() / 27.0 * (mel - bend)).exp() } else { linear }
        })
        .collect();
    let mut filters = Vec::with_capacity(count * BINS);
    for n in 0..count {
        let area = 2.0 / (hz[n + 2] - hz[n]);
        for bin in 0..BINS {
            let at = bin as f64 * 40.0;
            let lower = -(hz[n] - at) / (hz[n + 1] - hz[n]);
            let upper = (hz[n + 2] - at) / (hz[n + 2] - hz[n + 1]);
            // Not `max`: the first filter begins with a zero that is negative, and whoever compares files compares bits.
            let height = lower.min(upper);
            filters.push(if height < 0.0 { 0.0 } else { (height * area) as f32 });
        }
    }
    filters
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_filter_is_a_triangle_above_the_one_before() {
        let filters = filters(80);
        assert_eq!(filters.len(), 80 * BINS);
        let mut last = 0;
        for filter in filters.chunks(BINS) {
            let peak = (0..BINS).max_by(|a, b| filter[*a].total_cmp(&filter[*b])).expect("bins");
            assert!(filter[peak] > 0.0 && peak >= last);
            last = peak;
        }
        // librosa.filters.mel(sr=16000, n_fft=400, n_mels=80)[0, 1] and [79, 190].
        assert!((filters[1] - 0.024_862_574).abs() < 1e-7, "{}", filters[1]);
    }
}
