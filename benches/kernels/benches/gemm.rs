//! Matrix products by flatmin, `gemm`, `faer` and `matrixmultiply`, as `gemm/{f32,f64}/{m}x{k}x{n}-{transposed}/{contender}`.
//!
//! For ratios see the contest, which interleaves: `cargo run --release -- gemm`.

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use flatmin_kernel_benches::multipliers::{Multiplier, Number, Operands};
use flatmin_kernel_benches::products;

fn benchmarks<T: Number>(criterion: &mut Criterion) {
    for product in products::all() {
        let mut group = criterion.benchmark_group(format!("gemm/{}/{product}", T::NAME));
        group.throughput(Throughput::Elements(product.flops() as u64));
        for multiplier in Multiplier::BUILT {
            let mut operands = Operands::<T>::new(product);
            group.bench_function(BenchmarkId::from_parameter(multiplier.name()), |bencher| {
                bencher.iter(|| operands.run(std::hint::black_box(multiplier)));
            });
        }
        group.finish();
    }
}

criterion_group! {
    name = gemm;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(500));
    targets = benchmarks::<f32>, benchmarks::<f64>
}
criterion_main!(gemm);
