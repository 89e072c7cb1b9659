//! Whole numbers that a graph computes from constants: exporters write the sizes of a padding as a chain of such nodes.

use super::model::{Node, Tensor};

/// Most elements of such a tensor; sizes of a padding are eight.
const MOST: usize = 1024;
/// ONNX's type of 64-bit integers.
const INT64: u64 = 7;

/// Whole numbers, row-major.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Ints {
    sizes: Vec<usize>,
    data: Vec<i64>,
}

/// What a node makes of constants, where it is one of those that are known here and everything is small and whole.
pub(super) fn fold<'b>(node: &Node<'b>, inputs: &[Option<&Tensor<'b>>]) -> Option<Tensor<'b>> {
    let input = |index: usize| inputs.get(index).copied().flatten().and_then(Ints::of);
    let found = match node.operator {
        "Cast" => input(0)?,
        "ConstantOfShape" => Ints::filled(&input(0)?.data, value(node)?)?,
        "Concat" => Ints::joined(&(0..inputs.len()).map(input).collect::<Option<Vec<_>>>()?)?,
        "Reshape" => input(0)?.reshaped(&input(1)?.data)?,
        "Transpose" => input(0)?.transposed(node.ints("perm").unwrap_or(&[]))?,
        "Slice" => {
            let step = if inputs.len() > 4 { one(&input(4)?)? } else { 1 };
            let axis = if inputs.len() > 3 { one(&input(3)?)? } else { 0 };
            input(0)?.sliced(one(&input(1)?)?, one(&input(2)?)?, axis, step)?
        }
        _ => return None,
    };
    let sizes = found.sizes.iter().map(|&size| size as i64).collect();
    Some(Tensor { sizes, kind: INT64, ints: found.data, ..Tensor::default() })
}

/// What `ConstantOfShape` fills with: zero where it does not say.
fn value(node: &Node<'_>) -> Option<i64> {
    match node.attribute("value").and_then(|attribute| attribute.tensor.as_ref()) {
        Some(tensor) => one(&Ints::of(tensor)?),
        None => Some(0),
    }
}

fn one(ints: &Ints) -> Option<i64> {
    if let [only] = ints.data[..] { Some(only) } else { None }
}

impl Ints {
    fn of(tensor: &Tensor<'_>) -> Option<Self> {
        let sizes = tensor.shape()?;
        let count = sizes.iter().try_fold(1usize, |count, &size| count.checked_mul(size))?;
        let data = if count <= MOST { tensor.to_ints()? } else { return None };
        (data.len() == count).then_some(Ints { sizes, data })
    }

    fn filled(sizes: &[i64], value: i64) -> Option<Self> {
        let sizes: Vec<usize> =
            sizes.iter().map(|&size| usize::try_from(size).ok()).collect::<Option<_>>()?;
        let count = sizes.iter().try_fold(1usize, |count, &size| count.checked_mul(size))?;
        (count <= MOST).then(|| Ints { sizes, data: vec![value; count] })
    }

    /// Lists after one another.
    fn joined(parts: &[Ints]) -> Option<Self> {
        let data: Vec<i64> = parts.iter().flat_map(|part| part.data.iter().copied()).collect();
        let lists = parts.iter().all(|part| part.sizes.len() == 1);
        (lists && data.len() <= MOST).then(|| Ints { sizes: vec![data.len()], data })
    }

    fn reshaped(self, to: &[i64]) -> Option<Self> {
        let known: i64 =
            to.iter().filter(|&&size| size != -1).try_fold(1i64, |all, &size| all.checked_mul(size))?;
        let count = self.data.len();
        let open = count.checked_div(usize::try_from(known).ok()?)?;
        let size = |&size: &i64| if size == -1 { Some(open) } else { usize::try_from(size).ok() };
        let sizes = to.iter().map(size).collect::<Option<Vec<usize>>>()?;
        let whole = sizes.iter().try_fold(1usize, |all, &size| all.checked_mul(size))? == count;
        (whole && to.iter().filter(|&&size| size == -1).count() <= 1).then_some(Ints { sizes, ..self })
    }

    /// Of a matrix.
    fn transposed(self, order: &[i64]) -> Option<Self> {
        let &[rows, columns] = &self.sizes[..] else { return None };
        let at = |column: usize| (0..rows).map(move |row| row * columns + column);
        let data = (0..columns).flat_map(at).map(|at| self.data[at]).collect();
        matches!(order, [] | [1, 0]).then_some(Ints { sizes: vec![columns, rows], data })
    }

    /// Rows of a matrix, or elements of a list: from a first one to one that is not taken any more. Negative numbers count from the end,
    /// numbers beyond an end mean that end.
    fn sliced(self, start: i64, end: i64, axis: i64, step: i64) -> Option<Self> {
        let (&rows, rest) = self.sizes.split_first()?;
        let row: usize = rest.iter().product();
        let count = i64::try_from(rows).ok()?;
        let from_end = |at: i64| if at < 0 { at.saturating_add(count) } else { at };
        let (low, high) = if step < 0 { (-1, count - 1) } else { (0, count) };
        let (start, end) = (from_end(start).clamp(low.max(0), high), from_end(end).clamp(low, high));
        if axis != 0 || step == 0 {
            return None;
        }
        let mut data = Vec::new();
        let (mut at, mut taken) = (start, 0);
        while (step > 0 && at < end) || (step < 0 && at > end) {
            let first = usize::try_from(at).ok()? * row;
            data.extend_from_slice(self.data.get(first..first + row)?);
            (at, taken) = (at.checked_add(step)?, taken + 1);
        }
        Some(Ints { sizes: std::iter::once(taken).chain(rest.iter().copied()).collect(), data })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(data: &[i64]) -> Ints {
        Ints { sizes: vec![data.len()], data: data.to_vec() }
    }

    /// What PyTorch writes for `pad(x, (0, 0, 0, 0, 2, 3))`: pairs from the last axis to the first become all beginnings, then all ends.
    #[test]
    fn the_sizes_of_a_padding_are_computed() {
        let zeros = Ints::filled(&[2], 0).expect("two");
        let pairs = Ints::joined(&[list(&[0, 0, 0, 0, 2, 3]), zeros]).expect("lists");
        let pairs = pairs.reshaped(&[-1, 2]).expect("four pairs");
        let reversed = pairs.sliced(-1, -i64::MAX, 0, -1).expect("rows");
        let all = reversed.transposed(&[1, 0]).expect("a matrix").reshaped(&[-1]).expect("a list");
        assert_eq!(all, list(&[0, 2, 0, 0, 0, 3, 0, 0]));
    }

    #[test]
    fn slices_are_those_of_python() {
        let sliced =
            |start, end, step| list(&[0, 1, 2, 3, 4]).sliced(start, end, 0, step).map(|ints| ints.data);
        assert_eq!(sliced(1, 4, 2), Some(vec![1, 3]));
        assert_eq!(sliced(-2, i64::MAX, 1), Some(vec![3, 4]));
        assert_eq!(sliced(3, 0, -1), Some(vec![3, 2, 1]));
        assert_eq!(sliced(i64::MAX, i64::MIN, -2), Some(vec![4, 2, 0]));
        assert_eq!(sliced(4, 1, 1), Some(vec![]));
        assert_eq!(sliced(0, 5, 0), None);
    }

    #[test]
    fn what_does_not_fit_is_nothing() {
        assert_eq!(Ints::filled(&[1 << 40, 1 << 40], 0), None);
        assert_eq!(Ints::filled(&[-1], 0), None);
        assert_eq!(list(&[1, 2, 3]).reshaped(&[2, -1]), None);
        assert_eq!(list(&[1, 2, 3, 4]).reshaped(&[-1, -1]), None);
        assert_eq!(list(&[1, 2]).transposed(&[1, 0]), None);
    }
}
