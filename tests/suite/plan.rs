//! What a plan promises: the cheaper route, counts that grow with every size, a line to print.

use crate::common::problem::Way;
use flatmin::{Activation, Form, Network, PairWeights, Plan, Route, Shape};

fn plan([n, d, m, k]: [usize; 4]) -> Plan {
    let network = Network::new(Shape::new(d, m, k).expect("a shape"), Activation::Tanh);
    Plan::new(network, n).expect("a plan")
}

/// Shapes on which one route is far cheaper: choices that no refinement of either may change.
#[test]
fn routes_of_known_shapes() {
    for (sizes, route) in [
        // Many samples of a small network.
        ([105, 4, 16, 3], Route::Blocks),
        ([4096, 2, 32, 2], Route::Blocks),
        ([100_000, 10, 10, 10], Route::Blocks),
        // Few samples of a wide one.
        ([64, 64, 32, 10], Route::Pairs),
        ([32, 784, 128, 10], Route::Pairs),
        ([128, 784, 128, 10], Route::Pairs),
        ([32, 3072, 512, 10], Route::Pairs),
        ([256, 30, 64, 2], Route::Pairs),
        ([1, 1000, 1000, 2], Route::Pairs),
    ] {
        assert_eq!(plan(sizes).route(), route, "{sizes:?}");
    }
}

/// Two classes make tangent blocks single numbers; with as many classes as units there is nothing to gain from them.
#[test]
fn forms_of_known_shapes() {
    for (sizes, form) in [
        ([256, 30, 64, 2], Form::Tangent),
        ([128, 784, 256, 10], Form::Tangent),
        ([32, 3072, 512, 10], Form::Tangent),
        ([64, 64, 32, 10], Form::Flat),
        ([128, 64, 16, 16], Form::Flat),
    ] {
        assert_eq!(plan(sizes).form(), form, "{sizes:?}");
    }
}

/// Where the choice turns, to the unit: a change of a count that moves one of these is a change of the plan.
#[test]
fn crossovers() {
    let first = |from: std::ops::Range<usize>, turned: &dyn Fn(usize) -> bool| {
        from.into_iter().find(|&size| turned(size)).expect("a crossover")
    };
    // Wider networks turn from flat rows to tangent blocks, larger batches from pairs to blocks.
    let tangent = |n, d, k| first(2..2000, &|m| plan([n, d, m, k]).form() == Form::Tangent);
    let blocks = |d, m, k| first(1..20_000, &|n| plan([n, d, m, k]).route() == Route::Blocks);
    assert_eq!([tangent(128, 784, 10), tangent(32, 784, 10), tangent(256, 30, 3)], [80, 69, 18]);
    assert_eq!([blocks(2, 32, 2), blocks(4, 16, 3), blocks(30, 16, 10)], [64, 54, 726]);
}

#[test]
fn the_cheapest_way_is_chosen() {
    let sizes = [1, 3, 10, 40, 100, 400];
    for n in sizes {
        for d in sizes {
            for m in sizes {
                for k in [2, 3, 10] {
                    let chosen = plan([n, d, m, k]);
                    for way in Way::ALL {
                        let other = way.of(chosen);
                        assert_eq!((other.route(), other.form()), (way.route, way.form));
                        assert_eq!(other.flops().gradient, chosen.flops().gradient);
                        assert!(chosen.cost() <= other.cost(), "{n}, {d}, {m}, {k}: {way} is cheaper");
                    }
                }
            }
        }
    }
}

#[test]
fn counts_grow_with_every_size() {
    for base in [[1, 1, 1, 2], [5, 4, 3, 2], [64, 64, 32, 10], [200, 30, 20, 4]] {
        for way in Way::ALL {
            let at = |sizes| way.of(plan(sizes));
            let (least, small) = (at(base).flops(), at(base));
            assert!(least.gradient > 0 && least.penalty > 0);
            for place in 0..4 {
                let mut larger = base;
                larger[place] += 1;
                // With two classes and few inputs H is formed whole: more flops than by blocks, in less time.
                let whole = |sizes: [usize; 4]| sizes[3] == 2 && sizes[1] <= 4;
                if way.route == Route::Blocks && whole(base) != whole(larger) {
                    continue;
                }
                let plan = at(larger);
                assert!(plan.flops().gradient > least.gradient, "{base:?} to {larger:?}");
                assert!(plan.flops().penalty > least.penalty, "{base:?} to {larger:?} by {way}");
                assert!(plan.workspace_len() >= small.workspace_len(), "{base:?} to {larger:?} by {way}");
                assert!(plan.gradient_workspace_len() >= small.gradient_workspace_len());
            }
        }
    }
}

/// A smaller batch has the workspace of a larger one: also where the one is cut, or summed, in another way than the other.
#[test]
fn smaller_batches_fit() {
    for [d, m, k] in [[3, 2, 2], [5, 40, 3], [9, 3, 10], [20, 16, 12], [40, 5, 13]] {
        for way in Way::ALL {
            let len = |n: usize| way.of(plan([n, d, m, k])).workspace_len();
            for n in 1..140 {
                assert!(len(n) <= len(n + 1), "{n} samples, {d}, {m}, {k} by {way}");
            }
        }
    }
}

/// Of the loss gradient: two products of N·M·D and three of N·K·M, two flops each.
#[test]
fn flops_of_the_loss_gradient() {
    let [n, d, m, k] = [7, 5, 3, 4];
    assert_eq!(plan([n, d, m, k]).flops().gradient, 2 * (2 * n * m * d + 3 * n * k * m) as u64);
}

/// Quadratic in the batch by pairs, linear by blocks.
#[test]
fn orders_of_growth() {
    let penalty =
        |n: usize, route: Route| plan([n, 20, 10, 3]).with_route(route).expect("sizes").flops().penalty as f64;
    let pairs = penalty(4000, Route::Pairs) / penalty(1000, Route::Pairs);
    assert!((15.0..=16.0).contains(&pairs), "{pairs}");
    let blocks = penalty(4000, Route::Blocks) / penalty(1000, Route::Blocks);
    assert!((3.9..=4.1).contains(&blocks), "{blocks}");
}

/// Memory is linear in the batch on the route of pairs, and none of it is for N×N numbers.
#[test]
fn memory_is_linear_in_the_batch() {
    let len = |n: usize| plan([n, 20, 10, 3]).with_route(Route::Pairs).expect("sizes").workspace_len();
    // Whole blocks of samples.
    let [once, twice, thrice] = [12_800, 25_600, 38_400].map(len);
    assert_eq!(thrice - twice, twice - once);
    assert!(thrice < 38_400 * 1000);
}

#[test]
fn counts_that_overflow_stand_at_the_largest() {
    let huge = plan([1 << 40, 2, 2, 2]);
    assert_eq!(huge.route(), Route::Blocks);
    assert_eq!(huge.with_route(Route::Pairs).map(|plan| plan.flops().penalty), Ok(u64::MAX));
}

#[test]
fn accessors_and_modifiers() {
    let weights = PairWeights::DataSet { samples: 1000 };
    let plan = plan([64, 64, 32, 10]).with_pair_weights(weights);
    assert_eq!((plan.samples(), plan.pair_weights()), (64, weights));
    assert_eq!((plan.shape(), plan.network().activation), (Shape::new(64, 32, 10).expect("sizes"), Activation::Tanh));
    let other = plan.with_route(Route::Blocks).expect("small sizes");
    assert_eq!((other.pair_weights(), other.samples()), (weights, 64));
    assert_eq!(other.with_route(Route::Pairs), Ok(plan));
}

#[test]
fn a_plan_prints_as_one_line() {
    let plan = plan([7, 5, 3, 4]).with_route(Route::Blocks).expect("small sizes");
    let line = plan.to_string();
    for part in ["7 samples", "5-3-4 tanh", "blocks", "MFLOP", &format!("{} elements", plan.workspace_len())] {
        assert!(line.contains(part), "{part:?} is not in {line:?}");
    }
    assert!(!line.contains('\n'));
}
