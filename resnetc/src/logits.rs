//! What a network answers.

/// A number per image and class: the larger, the likelier.
#[derive(Debug, Clone, PartialEq)]
pub struct Logits {
    /// `[images][classes]`
    values: Vec<f32>,
    images: usize,
}

impl Logits {
    /// Of so many images, `[images][classes]`.
    ///
    /// # Panics
    /// Where the numbers do not divide by the images.
    pub fn new(values: Vec<f32>, images: usize) -> Self {
        let whole = if images == 0 { values.is_empty() } else { values.len().is_multiple_of(images) };
        assert!(whole, "{} logits of {images} images", values.len());
        Logits { values, images }
    }

    /// How many images.
    pub fn images(&self) -> usize {
        self.images
    }

    /// How many classes.
    pub fn classes(&self) -> usize {
        self.values.len() / self.images.max(1)
    }

    /// All of them, `[images][classes]`.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Those of an image.
    ///
    /// # Panics
    /// Where there is no such image.
    pub fn image(&self, index: usize) -> &[f32] {
        let classes = self.classes();
        &self.values[index * classes..(index + 1) * classes]
    }

    /// Classes and numbers of an image, the largest number first; of equal ones the first class first.
    ///
    /// # Panics
    /// Where there is no such image.
    pub fn largest(&self, index: usize, count: usize) -> Vec<(usize, f32)> {
        let mut order: Vec<_> = self.image(index).iter().copied().enumerate().collect();
        order.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        order.truncate(count);
        order
    }

    /// Probabilities instead: `exp(x - max) / sum` over each image's classes, which does not overflow.
    #[must_use]
    pub fn softmax(mut self) -> Self {
        let classes = self.classes().max(1);
        for row in self.values.chunks_exact_mut(classes) {
            let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            row.iter_mut().for_each(|x| *x = (*x - max).exp());
            let sum: f32 = row.iter().sum();
            row.iter_mut().for_each(|x| *x /= sum);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::Logits;

    #[test]
    fn largest_come_first_and_ties_by_index() {
        let logits = Logits::new(vec![0.5, 2.0, -1.0, 2.0, 0.0, 1.0, 0.1], 1);
        let found: Vec<_> = logits.largest(0, 5).iter().map(|p| p.0).collect();
        assert_eq!(found, [1, 3, 5, 0, 6]);
    }

    #[test]
    fn softmax_sums_to_one_and_keeps_large_logits_finite() {
        let found = Logits::new(vec![1000.0, 1001.0, 999.0, 0.0, 0.0, 0.0], 2).softmax();
        for image in 0..2 {
            assert!((found.image(image).iter().sum::<f32>() - 1.0).abs() < 1e-6);
        }
        let first = found.image(0);
        assert!((first[1] / first[0] - std::f32::consts::E).abs() < 1e-4);
    }

    #[test]
    fn images_have_their_rows() {
        let logits = Logits::new(vec![1.0, 2.0, 3.0, 4.0], 2);
        assert_eq!((logits.images(), logits.classes(), logits.image(1)), (2, 2, &[3.0, 4.0][..]));
        assert_eq!(Logits::new(Vec::new(), 0).classes(), 0);
    }
}
