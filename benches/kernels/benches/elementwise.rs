//! Elementwise functions by flatmin, `libm` and `wide`, as `elementwise/{f32,f64}/{function}/{contender}`.
//!
//! For ratios see the contest, which interleaves: `cargo run --release -- elementwise`.

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use flatmin_kernel_benches::functions::{self, Number, Slices, Way};

fn benchmarks<T: Number>(criterion: &mut Criterion) {
    for function in functions::all() {
        let mut group = criterion.benchmark_group(format!("elementwise/{}/{function}", T::NAME));
        let mut slices = Slices::<T>::new(function);
        group.throughput(Throughput::Elements(slices.len() as u64));
        for way in Way::ALL {
            if slices.run(function, way) {
                group.bench_function(BenchmarkId::from_parameter(way.name()), |bencher| {
                    bencher.iter(|| slices.run(function, std::hint::black_box(way)));
                });
            }
        }
        group.finish();
    }
}

criterion_group! {
    name = elementwise;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(500));
    targets = benchmarks::<f32>, benchmarks::<f64>
}
criterion_main!(elementwise);
