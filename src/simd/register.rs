//! The macro that makes a register type and its [`Lanes`](super::Lanes) from a table of intrinsics.

/// Defines `$name`, a register of `$lanes` numbers `$scalar` held in `$register`, whose token is `$simd`.
///
/// The tables name the intrinsic of each operation; their arguments are the bare registers. `vectors` return a register, `masks` a mask.
/// `memory` defines loads and stores; `$simd`, pointers and lengths are passed through. `folds` lists the permutations that bring the
/// other half, quarter, ... of the lanes to the front. `rest` is copied unchanged.
macro_rules! register {
    (
        $(#[$doc:meta])*
        $name:ident = $lanes:literal x $scalar:ident in $register:ty, $simd:ident, $mask:ident;
        fused: $fused:literal;
        masked_loads: $masked:literal;
        operators { $($operator:ident::$op:ident($a:ident $(, $b:ident)?) => $op_expr:expr;)* }
        vectors { $($vector:ident($x:ident $(, $y:ident)*) => $vector_expr:expr;)* }
        masks { $($compare:ident($l:ident, $r:ident) => $mask_expr:expr;)* }
        splat($splat:ident) => $splat_expr:expr;
        select($if:ident, $then:ident, $else:ident) => $select_expr:expr;
        load($load:ident) => $load_expr:expr;
        load_partial($source:ident, $load_len:ident) => $load_partial_expr:expr;
        store($stored:ident, $store:ident) => $store_expr:expr;
        store_partial($part:ident, $target:ident, $store_len:ident) => $store_partial_expr:expr;
        first($first:ident) => $first_expr:expr;
        folds($fold:ident) { $($fold_expr:expr;)* }
        rest { $($rest:item)* }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        #[repr(transparent)]
        pub struct $name($register);

        $(
            impl core::ops::$operator for $name {
                type Output = Self;

                #[inline(always)]
                fn $op(self $(, $b: Self)?) -> Self {
                    let $a = self.0;
                    $(let $b = $b.0;)?
                    // SAFETY: registers exist only where the instruction set does.
                    #[allow(unused_unsafe)]
                    Self(unsafe { $op_expr })
                }
            }
        )*

        #[allow(unused_unsafe)]
        impl Lanes for $name {
            type Scalar = $scalar;
            type Simd = $simd;
            type Mask = $mask;
            const LANES: usize = $lanes;
            const FUSED: bool = $fused;
            const MASKED_LOADS: bool = $masked;

            #[inline(always)]
            fn simd(self) -> $simd {
                $simd(())
            }

            $(
                #[inline(always)]
                fn $vector(self $(, $y: Self)*) -> Self {
                    let $x = self.0;
                    $(let $y = $y.0;)*
                    // SAFETY: registers exist only where the instruction set does.
                    Self(unsafe { $vector_expr })
                }
            )*

            $(
                #[inline(always)]
                fn $compare(self, other: Self) -> $mask {
                    let ($l, $r) = (self.0, other.0);
                    // SAFETY: registers exist only where the instruction set does.
                    $mask(unsafe { $mask_expr })
                }
            )*

            #[inline(always)]
            fn select(mask: $mask, if_true: Self, if_false: Self) -> Self {
                let ($if, $then, $else) = (mask.0, if_true.0, if_false.0);
                // SAFETY: registers exist only where the instruction set does.
                Self(unsafe { $select_expr })
            }

            #[inline(always)]
            fn splat(_: $simd, $splat: $scalar) -> Self {
                // SAFETY: the token is the proof of the instruction set.
                Self(unsafe { $splat_expr })
            }

            #[inline(always)]
            unsafe fn load_ptr(_: $simd, $load: *const $scalar) -> Self {
                // SAFETY: the token is the proof of the instruction set; the caller vouches for the memory.
                Self(unsafe { $load_expr })
            }

            #[inline(always)]
            unsafe fn load_partial_ptr(_: $simd, $source: *const $scalar, $load_len: usize) -> Self {
                debug_assert!($load_len <= Self::LANES);
                // SAFETY: the token is the proof of the instruction set; the caller vouches for the memory.
                Self(unsafe { $load_partial_expr })
            }

            #[inline(always)]
            unsafe fn store_ptr(self, $store: *mut $scalar) {
                let $stored = self.0;
                // SAFETY: registers exist only where the instruction set does; the caller vouches for the memory.
                unsafe { $store_expr }
            }

            #[inline(always)]
            unsafe fn store_partial_ptr(self, $target: *mut $scalar, $store_len: usize) {
                debug_assert!($store_len <= Self::LANES);
                let $part = self.0;
                // SAFETY: registers exist only where the instruction set does; the caller vouches for the memory.
                unsafe { $store_partial_expr }
            }

            #[inline(always)]
            fn reduce_sum(self) -> $scalar {
                let sum = self;
                $(
                    let $fold = sum.0;
                    // SAFETY: registers exist only where the instruction set does.
                    let sum = sum + Self(unsafe { $fold_expr });
                )*
                let $first = sum.0;
                // SAFETY: as above.
                unsafe { $first_expr }
            }

            #[inline(always)]
            fn reduce_max(self) -> $scalar {
                let max = self;
                $(
                    let $fold = max.0;
                    // SAFETY: registers exist only where the instruction set does.
                    let max = max.max(Self(unsafe { $fold_expr }));
                )*
                let $first = max.0;
                // SAFETY: as above.
                unsafe { $first_expr }
            }

            $($rest)*
        }
    };
}

/// Defines `$name`, the truth values of a register, by its bitwise operations.
macro_rules! mask {
    (
        $(#[$doc:meta])*
        $name:ident($register:ty);
        and($a:ident, $b:ident) => $and:expr;
        or($c:ident, $d:ident) => $or:expr;
        not($e:ident) => $not:expr;
        bits($f:ident) => $bits:expr;
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        #[repr(transparent)]
        pub struct $name($register);

        #[allow(unused_unsafe)]
        impl core::ops::BitAnd for $name {
            type Output = Self;

            #[inline(always)]
            fn bitand(self, other: Self) -> Self {
                let ($a, $b) = (self.0, other.0);
                // SAFETY: masks exist only where the instruction set does.
                Self(unsafe { $and })
            }
        }

        #[allow(unused_unsafe)]
        impl core::ops::BitOr for $name {
            type Output = Self;

            #[inline(always)]
            fn bitor(self, other: Self) -> Self {
                let ($c, $d) = (self.0, other.0);
                // SAFETY: masks exist only where the instruction set does.
                Self(unsafe { $or })
            }
        }

        #[allow(unused_unsafe)]
        impl core::ops::Not for $name {
            type Output = Self;

            #[inline(always)]
            fn not(self) -> Self {
                let $e = self.0;
                // SAFETY: masks exist only where the instruction set does.
                Self(unsafe { $not })
            }
        }

        #[allow(unused_unsafe)]
        impl Mask for $name {
            #[inline(always)]
            fn bits(self) -> u32 {
                let $f = self.0;
                // SAFETY: masks exist only where the instruction set does.
                unsafe { $bits }
            }
        }
    };
}

pub(super) use {mask, register};
