//! Networks and trainings as bytes, in the [safetensors](https://github.com/huggingface/safetensors) format. Feature `safetensors`.
//!
//! | tensor | type | shape | |
//! |---|---|---|---|
//! | `0.weight` | that of the training | M×D | W |
//! | `0.bias` | the same | M | b |
//! | `2.weight` | the same | K×M | V |
//! | `2.bias` | the same | K | c |
//! | `training.moments` | the same | P or 2P | what the optimizer's update remembers; missing if that is nothing |
//! | `training.averages` | F64 | 5 | averages of a sampled penalty's traces and of its limit |
//! | `training.counts` | U64 | 4 | steps, averaged estimates, epochs, seed |
//! | `training.best` | that of the training | P | the best parameters; missing, as the next two, where no score was recorded |
//! | `training.best_score` | F64 | 1 | |
//! | `training.best_counts` | U64 | 2 | scores since, steps |
//!
//! The first four have the names of PyTorch's `Sequential(Linear, activation, Linear)`. A network is these four alone; a training is a network
//! too. The metadata `flatmin` holds the version of this format, the activation, and a checksum of it, of the names, shapes and numbers (FNV-1a, 64 bits). The same
//! training has the same bytes.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use safetensors::{Dtype, SafeTensors, serialize, tensor::TensorView};

use super::memory::zeros;
use super::{Best, Training};
use crate::activation::Activation;
use crate::error::{Error, Result, check_length};
use crate::kernels::vector::first_not_finite;
use crate::network::{Network, Parameters, ParametersMut, Shape};
use crate::optimizer::Optimizer;
use crate::plan::Plan;
use crate::real::Real;
use crate::sampled::Averages;
use crate::simd::InstructionSet;

/// The version of the format.
const VERSION: &str = "2";
/// The version before, of trainings without the limit of a sampled penalty. Networks are the same.
const BEFORE: &str = "1";
/// The metadata's key.
const KEY: &str = "flatmin";

/// A tensor to be stored.
struct Tensor {
    name: &'static str,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Tensor {
    fn numbers<T: Real>(name: &'static str, shape: &[usize], numbers: &[T]) -> Self {
        Self { name, dtype: dtype::<T>(), shape: shape.to_vec(), bytes: to_bytes(numbers) }
    }

    fn counts(name: &'static str, counts: &[u64]) -> Self {
        let bytes = counts.iter().flat_map(|count| count.to_le_bytes()).collect();
        Self { name, dtype: Dtype::U64, shape: vec![counts.len()], bytes }
    }

    fn view(&self) -> TensorView<'_> {
        TensorView::new(self.dtype, self.shape.clone(), &self.bytes).expect("a shape of as many bytes")
    }
}

/// The tensors of a network.
fn network_tensors<T: Real>(shape: Shape, theta: &[T]) -> Result<Vec<Tensor>> {
    let (d, m, k) = (shape.inputs(), shape.hidden(), shape.classes());
    let Parameters { hidden_weight, hidden_bias, output_weight, output_bias } = Parameters::new(shape, theta)?;
    Ok(vec![
        Tensor::numbers("0.weight", &[m, d], hidden_weight),
        Tensor::numbers("0.bias", &[m], hidden_bias),
        Tensor::numbers("2.weight", &[k, m], output_weight),
        Tensor::numbers("2.bias", &[k], output_bias),
    ])
}

/// The bytes of a file.
fn write(activation: Activation, tensors: &[Tensor]) -> Vec<u8> {
    let views = || tensors.iter().map(|tensor| (tensor.name, tensor.view()));
    let text = format!("{VERSION} {activation} {:016x}", checksum(activation, views()));
    let metadata = [(KEY.to_string(), text)].into_iter().collect();
    serialize(views(), Some(metadata)).expect("tensors with different names")
}

/// The network and its parameters as bytes.
///
/// # Errors
///
/// [`Error::Length`] unless `theta` has P entries, [`Error::NotFinite`] for NaN or infinity among them.
///
/// ```
/// use flatmin::training::stored::{load_network, save_network};
/// use flatmin::{Activation, Network, Shape};
///
/// let network = Network::new(Shape::new(2, 3, 2)?, Activation::Gelu);
/// let mut theta = vec![0.0f32; network.shape.parameters()];
/// network.initialize(&mut theta, 1)?;
/// let bytes = save_network(network, &theta)?;
/// assert_eq!(load_network(&bytes)?, (network, theta));
/// # Ok::<(), flatmin::Error>(())
/// ```
pub fn save_network<T: Real>(network: Network, theta: &[T]) -> Result<Vec<u8>> {
    let tensors = network_tensors(network.shape, theta)?;
    match first_not_finite(InstructionSet::current(), theta) {
        Some(index) => Err(Error::NotFinite { argument: "theta", index }),
        None => Ok(write(network.activation, &tensors)),
    }
}

/// The network and its parameters from bytes of [`save_network`] or [`Training::save`], of this version of the format or the one before.
///
/// # Errors
///
/// [`Error::Stored`] where a part is missing, damaged, of another number type or version; [`Error::Dimensions`], [`Error::Length`],
/// [`Error::NotFinite`] for tensors of which no network can be made.
pub fn load_network<T: Real>(bytes: &[u8]) -> Result<(Network, Vec<T>)> {
    let file = File::read(bytes)?;
    let (shape, theta) = file.parameters()?;
    Ok((Network::new(shape, file.activation()?), theta))
}

/// Sizes and parameters from any safetensors file with the tensors `0.weight`, `0.bias`, `2.weight` and `2.bias`, such as one that PyTorch
/// has written. It does not say which activation.
///
/// # Errors
///
/// As [`load_network`].
pub fn load_parameters<T: Real>(bytes: &[u8]) -> Result<(Shape, Vec<T>)> {
    File::read(bytes)?.parameters()
}

impl<T: Real, O: Optimizer<T>> Training<T, O> {
    /// All that has to be kept to go on later, to the bit, as bytes: parameters, moments, averages, counts, the seed, and the best
    /// parameters. Not the plan, the optimizer's hyperparameters and the schedule, which are the program's.
    ///
    /// ```
    /// use flatmin::{Activation, Adam, Batch, Network, Order, Plan, Shape, Targets, Training};
    ///
    /// let network = Network::new(Shape::new(2, 8, 2)?, Activation::Tanh);
    /// let plan = Plan::new(network, 3)?;
    /// let data = Batch::new(network.shape, &[0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0], Targets::Classes(&[0, 1, 1, 0]))?;
    /// let mut training = Training::<f32, _>::new(plan, Adam::new(0.01), 1)?;
    /// training.epoch(&data, Order::Shuffled)?;
    /// let mut resumed = Training::<f32, _>::load(plan, Adam::new(0.01), &training.save())?;
    /// assert_eq!(resumed.epoch(&data, Order::Shuffled)?, training.epoch(&data, Order::Shuffled)?);
    /// assert_eq!(resumed.theta(), training.theta());
    /// # Ok::<(), flatmin::Error>(())
    /// ```
    pub fn save(&self) -> Vec<u8> {
        let size = self.theta.len();
        let mut tensors = network_tensors(self.plan.shape(), &self.theta).expect("parameters of the plan's network");
        if !self.moments.is_empty() {
            tensors.push(Tensor::numbers("training.moments", &[self.moments.len()], &self.moments));
        }
        let Averages { trace, trace_of_square, limit, whole, limited, count } = self.averages;
        let averages = [trace, trace_of_square, limit, whole, limited];
        tensors.push(Tensor::numbers("training.averages", &[averages.len()], &averages));
        tensors.push(Tensor::counts("training.counts", &[self.steps, count, self.epochs, self.seed]));
        if let Some(Best { score, since, steps, theta }) = &self.best {
            tensors.push(Tensor::numbers("training.best", &[size], theta));
            tensors.push(Tensor::numbers("training.best_score", &[1], &[*score]));
            tensors.push(Tensor::counts("training.best_counts", &[*since, *steps]));
        }
        write(self.network().activation, &tensors)
    }

    /// The training that [`save`](Self::save) stored, with this plan and this optimizer, which need not be those that it had then.
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new) and of [`load_network`]; [`Error::Stored`] or [`Error::StoredShape`] where the bytes are those of another
    /// network, [`Error::Stored`] or [`Error::Length`] where they are those of an optimizer with other moments.
    pub fn load(plan: Plan, optimizer: O, bytes: &[u8]) -> Result<Self> {
        let file = File::read(bytes)?;
        if file.older {
            return Err(Error::Stored {
                part: "version",
                problem: "1, of an older flatmin, expected 2: this training cannot go on, its network can be loaded",
            });
        }
        if file.activation()? != plan.network().activation {
            return Err(Error::Stored { part: "activation", problem: "not that of the plan" });
        }
        let (shape, theta) = file.parameters::<T>()?;
        if shape != plan.shape() {
            let planned = [plan.shape().inputs(), plan.shape().hidden(), plan.shape().classes()];
            return Err(Error::StoredShape { planned, given: [shape.inputs(), shape.hidden(), shape.classes()] });
        }
        let [steps, count, epochs, seed] = file.counts("training.counts")?;
        let mut training = Self::new(plan, optimizer, seed)?;
        (training.steps, training.epochs) = (steps, epochs);
        let [trace, trace_of_square, limit, whole, limited] = file.doubles("training.averages")?;
        training.averages = Averages { trace, trace_of_square, limit, whole, limited, count };
        training.averages.check()?;
        training.theta.copy_from_slice(&theta);
        match (file.has("training.moments"), training.moments.is_empty()) {
            (false, true) => {}
            (true, true) => {
                return Err(Error::Stored { part: "training.moments", problem: "of an optimizer that has moments" });
            }
            (_, false) => {
                let moments = file.numbers::<T>("training.moments")?;
                check_length("training.moments", &moments, training.moments.len())?;
                training.moments = moments;
            }
        }
        if file.has("training.best") {
            let theta = file.numbers::<T>("training.best")?;
            check_length("training.best", &theta, training.theta.len())?;
            let ([since, steps], [score]) =
                (file.counts("training.best_counts")?, file.doubles("training.best_score")?);
            training.best = Some(Best { score, since, steps, theta });
        }
        Ok(training)
    }
}

/// A file that was read: a safetensors file, and undamaged if it is one of ours.
struct File<'a> {
    tensors: SafeTensors<'a>,
    /// What our metadata say; `None` in others' files.
    activation: Option<Activation>,
    /// Whether the version is the one before.
    older: bool,
}

impl<'a> File<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self> {
        let unreadable = |_| Error::Stored { part: "file", problem: "not in the safetensors format, or cut off" };
        let tensors = SafeTensors::deserialize(bytes).map_err(unreadable)?;
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(unreadable)?;
        let Some(text) = metadata.metadata().as_ref().and_then(|texts| texts.get(KEY)) else {
            return Ok(Self { tensors, activation: None, older: false });
        };
        let mut words = text.split(' ');
        let older = match words.next() {
            Some(VERSION) => false,
            Some(BEFORE) => true,
            _ => return Err(Error::Stored { part: "version", problem: "unknown to this flatmin, expected 2" }),
        };
        let activation = words.next().unwrap_or_default().parse::<Activation>()?;
        let expected = format!("{:016x}", checksum(activation, tensors.iter()));
        if words.next() != Some(&expected) {
            return Err(Error::Stored {
                part: "file",
                problem: "damaged: it has another checksum than when it was stored",
            });
        }
        Ok(Self { tensors, activation: Some(activation), older })
    }

    fn activation(&self) -> Result<Activation> {
        self.activation.ok_or(Error::Stored { part: KEY, problem: "missing from the metadata" })
    }

    fn has(&self, name: &str) -> bool {
        self.tensors.tensor(name).is_ok()
    }

    fn tensor(&self, name: &'static str, dtype: Dtype) -> Result<TensorView<'a>> {
        let tensor = self.tensors.tensor(name).map_err(|_| Error::Stored { part: name, problem: "missing" })?;
        if tensor.dtype() == dtype {
            return Ok(tensor);
        }
        let problem = match dtype {
            Dtype::F32 => "of another number type, F32 expected",
            Dtype::F64 => "of another number type, F64 expected",
            _ => "of another number type, U64 expected",
        };
        Err(Error::Stored { part: name, problem })
    }

    /// The numbers of a tensor, all of them finite.
    fn numbers<T: Real>(&self, name: &'static str) -> Result<Vec<T>> {
        let numbers = from_bytes(self.tensor(name, dtype::<T>())?.data())?;
        match first_not_finite(InstructionSet::current(), &numbers) {
            Some(index) => Err(Error::NotFinite { argument: name, index }),
            None => Ok(numbers),
        }
    }

    fn counts<const N: usize>(&self, name: &'static str) -> Result<[u64; N]> {
        let (words, _) = self.tensor(name, Dtype::U64)?.data().as_chunks::<8>();
        let counts: Vec<u64> = words.iter().map(|&word| u64::from_le_bytes(word)).collect();
        let given = counts.len();
        counts.try_into().map_err(|_| Error::Length { argument: name, given, expected: N })
    }

    /// Numbers that need not be finite.
    fn doubles<const N: usize>(&self, name: &'static str) -> Result<[f64; N]> {
        let (words, _) = self.tensor(name, Dtype::F64)?.data().as_chunks::<8>();
        let numbers: Vec<f64> = words.iter().map(|&word| f64::from_le_bytes(word)).collect();
        let given = numbers.len();
        numbers.try_into().map_err(|_| Error::Length { argument: name, given, expected: N })
    }

    /// Rows and columns of a weight.
    fn dimensions<T: Real>(&self, name: &'static str) -> Result<[usize; 2]> {
        let tensor = self.tensor(name, dtype::<T>())?;
        tensor.shape().try_into().map_err(|_| Error::Stored { part: name, problem: "no matrix" })
    }

    /// The network's sizes and parameters.
    fn parameters<T: Real>(&self) -> Result<(Shape, Vec<T>)> {
        let ([hidden, inputs], [classes, columns]) =
            (self.dimensions::<T>("0.weight")?, self.dimensions::<T>("2.weight")?);
        if columns != hidden {
            let (given, expected) = ([classes, columns], [classes, hidden]);
            return Err(Error::Dimensions { argument: "2.weight", given, expected });
        }
        let shape = Shape::new(inputs, hidden, classes)?;
        let mut theta = zeros(shape.parameters(), "parameters")?;
        let ParametersMut { hidden_weight, hidden_bias, output_weight, output_bias } =
            ParametersMut::new(shape, &mut theta)?;
        for (name, block) in
            [("0.weight", hidden_weight), ("0.bias", hidden_bias), ("2.weight", output_weight), ("2.bias", output_bias)]
        {
            let numbers = self.numbers::<T>(name)?;
            check_length(name, &numbers, block.len())?;
            block.copy_from_slice(&numbers);
        }
        Ok((shape, theta))
    }
}

fn dtype<T: Real>() -> Dtype {
    if size_of::<T>() == size_of::<f32>() { Dtype::F32 } else { Dtype::F64 }
}

/// Little-endian.
fn to_bytes<T: Real>(numbers: &[T]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(size_of_val(numbers));
    for number in numbers {
        let start = bytes.len();
        bytes.extend_from_slice(bytemuck::bytes_of(number));
        if cfg!(target_endian = "big") {
            bytes[start..].reverse();
        }
    }
    bytes
}

fn from_bytes<T: Real>(bytes: &[u8]) -> Result<Vec<T>> {
    let mut numbers = zeros(bytes.len() / size_of::<T>(), "stored numbers")?;
    for (number, bytes) in numbers.iter_mut().zip(bytes.chunks_exact(size_of::<T>())) {
        let place = bytemuck::bytes_of_mut(number);
        place.copy_from_slice(bytes);
        if cfg!(target_endian = "big") {
            place.reverse();
        }
    }
    Ok(numbers)
}

/// FNV-1a of the activation's name, and of the name, shape and bytes of each tensor in the order of the names.
fn checksum<'a, S: AsRef<str>>(activation: Activation, tensors: impl Iterator<Item = (S, TensorView<'a>)>) -> u64 {
    let mut tensors: Vec<(String, TensorView<'a>)> =
        tensors.map(|(name, tensor)| (name.as_ref().to_string(), tensor)).collect();
    tensors.sort_by(|a, b| a.0.cmp(&b.0));
    let mut sum = 0xCBF2_9CE4_8422_2325_u64;
    let mut add = |bytes: &[u8]| {
        for &byte in bytes {
            sum = (sum ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
        }
    };
    add(activation.name().as_bytes());
    for (name, tensor) in &tensors {
        add(name.as_bytes());
        for &length in tensor.shape() {
            add(&(length as u64).to_le_bytes());
        }
        add(tensor.data());
    }
    sum
}
