//! Rank correlation.

/// Spearman's coefficient of two measures of the same documents: the correlation of their ranks,
/// of which equal values share the mean.
pub fn spearman(a: &[f64], b: &[f64]) -> f64 {
    let (a, b) = (ranks(a), ranks(b));
    let mean = (a.len() - 1) as f64 / 2.0;
    let product = |a: &[f64], b: &[f64]| {
        let products = a.iter().zip(b).map(|(a, b)| (a - mean) * (b - mean));
        products.sum::<f64>()
    };
    product(&a, &b) / (product(&a, &a) * product(&b, &b)).sqrt()
}

fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    let mut before = 0;
    for equal in order.chunk_by(|a, b| values[*a] == values[*b]) {
        let rank = before as f64 + (equal.len() - 1) as f64 / 2.0;
        equal.iter().for_each(|place| ranks[*place] = rank);
        before += equal.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_share_their_mean_rank() {
        assert_eq!(ranks(&[5.0, 1.0, 5.0, 9.0]), [1.5, 0.0, 1.5, 3.0]);
    }

    #[test]
    fn only_the_order_counts() {
        let values = [1.0, 2.0, 3.0, 4.0, 5.0];
        assert_eq!(spearman(&values, &values.map(f64::exp)), 1.0);
        assert_eq!(spearman(&values, &values.map(|it| -it)), -1.0);
        // By hand: rank differences 1, 1, 0, 1, 1, and 1 - 6·4/(5·24).
        assert!((spearman(&values, &[2.0, 1.0, 3.0, 5.0, 4.0]) - 0.8).abs() < 1e-12);
    }
}
