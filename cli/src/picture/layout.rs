//! Where boxes and arcs go.
//!
//! An edge that jumps over a longer way between the same two boxes (an identity shortcut, a dense connection) takes no
//! part in the layered layout: it becomes an arc in a lane to the right of what it jumps over. So the main branch
//! stays one straight column.

use std::collections::HashSet;

use rust_sugiyama::configure::Config;

/// Space between two boxes in both directions.
const SPACING: f64 = 22.0;
/// Edges, each counted once for every rank that it crosses, above which boxes are set in plain rows: beyond it the layered layout takes
/// cubic time.
const LARGE: usize = 300;
/// From the widest jumped-over box to the first lane, and from lane to lane.
const LANE: f64 = 14.0;

/// Size and place of a box; `x`, `y` is its centre.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    /// Centre.
    pub x: f64,
    /// Centre.
    pub y: f64,
    /// Width.
    pub w: f64,
    /// Height.
    pub h: f64,
}

impl Place {
    /// Right edge.
    pub fn right(&self) -> f64 {
        self.x + self.w / 2.0
    }
    /// Left edge.
    pub fn left(&self) -> f64 {
        self.x - self.w / 2.0
    }
    /// Upper edge.
    pub fn top(&self) -> f64 {
        self.y - self.h / 2.0
    }
    /// Lower edge.
    pub fn bottom(&self) -> f64 {
        self.y + self.h / 2.0
    }
}

/// A connection from one box to another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Link {
    /// Index of the upper box.
    pub from: usize,
    /// Index of the lower box.
    pub to: usize,
    /// Where the arc runs down; none for a direct line.
    pub lane: Option<f64>,
}

/// All places, and links in the order of the edges.
#[derive(Debug, Clone, Default)]
pub struct Layout {
    /// One per box.
    pub places: Vec<Place>,
    /// One per edge.
    pub links: Vec<Link>,
}

/// Lays out boxes of the given sizes. Edges `(from, to)` form no cycle, and boxes come in topological order.
pub fn layout(sizes: &[(f64, f64)], edges: &[(usize, usize)]) -> Layout {
    let ranks = ranks(sizes.len(), edges);
    let jumps = jumps(&ranks, edges);
    let direct: Vec<_> = edges
        .iter()
        .zip(&jumps)
        .filter(|&(_, jump)| !jump)
        .map(|(&(a, b), _)| (a as u32, b as u32))
        .collect();
    let long: usize = direct.iter().map(|&(a, b)| ranks[b as usize] - ranks[a as usize]).sum();
    let places = if long > LARGE { rows(sizes, &ranks) } else { place(sizes, &direct) };
    let lanes = lanes(&places, edges, &jumps);
    let links = edges.iter().zip(lanes).map(|(&(from, to), lane)| Link { from, to, lane }).collect();
    Layout { places, links }
}

/// The length of the longest way to each box.
fn ranks(count: usize, edges: &[(usize, usize)]) -> Vec<usize> {
    let mut operands = vec![Vec::new(); count];
    for &(from, to) in edges {
        operands[to].push(from);
    }
    let mut ranks = vec![0; count];
    for to in 0..count {
        ranks[to] = operands[to].iter().map(|&from| ranks[from] + 1).max().unwrap_or(0);
    }
    ranks
}

/// Which edges are implied by a longer way (the complement of the transitive reduction), or doubled.
fn jumps(ranks: &[usize], edges: &[(usize, usize)]) -> Vec<bool> {
    let mut successors = vec![Vec::new(); ranks.len()];
    for &(from, to) in edges {
        successors[from].push(to);
    }
    let longer = |&(from, to): &(usize, usize)| {
        // There is no longer way to the next rank, and none through ranks behind it.
        if ranks[to] == ranks[from] + 1 {
            return false;
        }
        let mut seen = HashSet::new();
        let mut open: Vec<_> = successors[from].iter().copied().filter(|&next| next != to).collect();
        while let Some(at) = open.pop() {
            if ranks[at] >= ranks[to] || !seen.insert(at) {
                continue;
            }
            if successors[at].contains(&to) {
                return true;
            }
            open.extend(&successors[at]);
        }
        false
    };
    let mut met = HashSet::new();
    edges.iter().map(|edge| !met.insert(edge) || longer(edge)).collect()
}

/// A row for each rank, its boxes side by side in the order that they have.
fn rows(sizes: &[(f64, f64)], ranks: &[usize]) -> Vec<Place> {
    let mut rows: Vec<Vec<usize>> = vec![Vec::new(); ranks.iter().max().map_or(0, |last| last + 1)];
    for (i, &rank) in ranks.iter().enumerate() {
        rows[rank].push(i);
    }
    let mut places: Vec<_> = sizes.iter().map(|&(w, h)| Place { x: 0.0, y: 0.0, w, h }).collect();
    let mut top = 0.0;
    for row in rows {
        let height = row.iter().map(|&i| sizes[i].1).fold(0.0, f64::max);
        let width: f64 = row.iter().map(|&i| sizes[i].0 + SPACING).sum::<f64>() - SPACING;
        let mut left = -width / 2.0;
        for i in row {
            places[i].x = (left + sizes[i].0 / 2.0).round();
            places[i].y = (top + height / 2.0_f64).round();
            left += sizes[i].0 + SPACING;
        }
        top += height + SPACING;
    }
    places
}

fn place(sizes: &[(f64, f64)], edges: &[(u32, u32)]) -> Vec<Place> {
    let config = Config { vertex_spacing: SPACING, ..Config::default() };
    let boxes: Vec<_> = sizes.iter().enumerate().map(|(i, &size)| (i as u32, size)).collect();
    let mut places: Vec<_> = sizes.iter().map(|&(w, h)| Place { x: 0.0, y: 0.0, w, h }).collect();
    let mut left = 0.0;
    for (component, _, _) in rust_sugiyama::from_vertices_and_edges(&boxes, edges, &config) {
        let edge = component.iter().map(|&(i, (x, _))| x - sizes[i].0 / 2.0).fold(f64::INFINITY, f64::min);
        for &(i, (x, y)) in &component {
            places[i].x = (x - edge + left).round();
            places[i].y = y.round();
        }
        left = component.iter().map(|&(i, _)| places[i].right()).fold(left, f64::max) + SPACING;
    }
    places
}

/// The lane of each jumping edge: right of every box beside it, and of every shorter arc that overlaps it.
fn lanes(places: &[Place], edges: &[(usize, usize)], jumps: &[bool]) -> Vec<Option<f64>> {
    let span = |i: usize| (places[edges[i].0].y, places[edges[i].1].y);
    let mut order: Vec<_> = (0..edges.len()).filter(|&i| jumps[i]).collect();
    order.sort_by(|&a, &b| (span(a).1 - span(a).0).total_cmp(&(span(b).1 - span(b).0)).then(a.cmp(&b)));
    let mut lanes: Vec<Option<f64>> = vec![None; edges.len()];
    for &i in &order {
        let (top, bottom) = span(i);
        let beside = places.iter().filter(|p| p.y >= top && p.y <= bottom).map(Place::right);
        let arcs = order.iter().filter(|&&j| {
            let (other_top, other_bottom) = span(j);
            other_top < bottom && other_bottom > top
        });
        let inner = arcs.filter_map(|&j| lanes[j]);
        lanes[i] = Some(beside.chain(inner).fold(f64::NEG_INFINITY, f64::max) + LANE);
    }
    lanes
}

#[cfg(test)]
mod tests {
    use super::layout;

    /// `0 -> 1 -> 2` and `0 -> 2`, twice in a row.
    const EDGES: [(usize, usize); 6] = [(0, 1), (1, 2), (0, 2), (2, 3), (3, 4), (2, 4)];

    #[test]
    fn main_branch_is_one_column_and_shortcuts_are_arcs_beside_it() {
        let drawn = layout(&[(80.0, 30.0); 5], &EDGES);
        assert!(drawn.places.windows(2).all(|p| p[0].x == p[1].x && p[0].bottom() < p[1].top()));
        let lanes: Vec<_> = drawn.links.iter().map(|l| l.lane.is_some()).collect();
        assert_eq!(lanes, [false, false, true, false, false, true]);
        let right = drawn.places[0].right();
        assert!(drawn.links.iter().filter_map(|l| l.lane).all(|lane| lane > right));
    }

    /// A chain of so many boxes, whose first is used by every other once more; and a sum of so many terms.
    fn large(count: usize) -> [Vec<(usize, usize)>; 2] {
        let chain = (1..count).flat_map(|i| [(i - 1, i), (0, i)]).collect();
        let half = count / 2;
        let sum = (1..half).flat_map(|i| [(0, i), (i, half + i), (half + i - 1, half + i)]).skip(3).collect();
        [chain, sum]
    }

    fn assert_apart(drawn: &super::Layout) {
        for (i, a) in drawn.places.iter().enumerate() {
            for b in &drawn.places[i + 1..] {
                let apart = a.right() < b.left()
                    || b.right() < a.left()
                    || a.bottom() < b.top()
                    || b.bottom() < a.top();
                assert!(apart, "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn large_blocks_are_rows_without_overlaps() {
        for edges in large(400) {
            let drawn = layout(&vec![(80.0, 30.0); 400], &edges);
            assert_apart(&drawn);
            for link in drawn.links.iter().filter(|link| link.lane.is_none()) {
                assert!(drawn.places[link.from].bottom() < drawn.places[link.to].top(), "{link:?}");
            }
        }
    }

    /// The layered layout took hours for the larger ones.
    #[test]
    fn blocks_of_thousands_of_boxes_are_laid_out() {
        for count in [500, 2000] {
            large(count).iter().for_each(|edges| {
                assert_eq!(layout(&vec![(80.0, 30.0); count], edges).places.len(), count);
            });
        }
    }

    #[test]
    fn nested_arcs_take_different_lanes() {
        let drawn = layout(&[(80.0, 30.0); 4], &[(0, 1), (1, 2), (2, 3), (1, 3), (0, 3)]);
        let (inner, outer) = (drawn.links[3].lane.expect("jumps"), drawn.links[4].lane.expect("jumps"));
        assert!(inner < outer);
    }

    #[test]
    fn boxes_never_overlap() {
        let edges = [(0, 1), (0, 2), (0, 3), (1, 4), (2, 4), (3, 5), (4, 6), (5, 6), (0, 6)];
        let drawn = layout(&[(90.0, 30.0); 7], &edges);
        assert_apart(&drawn);
    }
}
