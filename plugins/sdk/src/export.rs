//! The macro that turns a type into a kernel.

/// Exports a type as a kernel: `export!(Primes as reduce)`, once in a crate of type `cdylib`.
///
/// | shape | the type implements | what is exported |
/// | --- | --- | --- |
/// | `minimal` | [`Map`](crate::Map) | `mapper` |
/// | `map` | [`Kernel`](crate::Kernel), [`Map`](crate::Map) | `describe`, `lifecycle`, `mapper`, `packed-mapper` |
/// | `filter` | [`Kernel`](crate::Kernel), [`Filter`](crate::Filter) | `describe`, `lifecycle`, `flat-mapper`, `packed-mapper` |
/// | `reduce` | [`Kernel`](crate::Kernel), [`Map`](crate::Map), [`Reduce`](crate::Reduce) | `describe`, `lifecycle`, `mapper`, `packed-mapper`, `reducer` |
/// | `image` | [`Kernel`](crate::Kernel), [`ImageFilter`](crate::ImageFilter) | `describe`, `lifecycle`, `image-filter` |
///
/// Compiled natively it only checks that the type implements what it must.
#[macro_export]
macro_rules! export {
    ($kernel:ident as minimal) => {
        $crate::__check!($kernel: $crate::Map);
        $crate::__export!($kernel, Exported: mapper);
    };
    ($kernel:ident as map) => {
        $crate::__check!($kernel: $crate::Kernel + $crate::Map);
        $crate::__export!($kernel, Exported: describe lifecycle mapper packed_mapper);
    };
    ($kernel:ident as filter) => {
        $crate::__check!($kernel: $crate::Kernel + $crate::Filter);
        $crate::__export!($kernel, Exported: describe lifecycle);
        $crate::__export!($kernel, ExportedFilter: flat_mapper packed_mapper);
    };
    ($kernel:ident as reduce) => {
        $crate::__check!($kernel: $crate::Kernel + $crate::Reduce);
        $crate::__export!($kernel, Exported: describe lifecycle mapper packed_mapper reducer);
    };
    ($kernel:ident as image) => {
        $crate::__check!($kernel: $crate::Kernel + $crate::ImageFilter);
        $crate::__export!($kernel, Exported: describe lifecycle image_filter);
    };
}

/// Says in the author's terms what is missing, on every target.
#[doc(hidden)]
#[macro_export]
macro_rules! __check {
    ($kernel:ident: $($bounds:tt)*) => {
        const _: () = {
            const fn a_kernel_implements<K: $($bounds)*>() {}
            a_kernel_implements::<$kernel>()
        };
    };
}

/// Exports interfaces, each through its generated macro.
#[doc(hidden)]
#[macro_export]
macro_rules! __export {
    ($kernel:ident, $adapter:ident: $($interface:ident)*) => {$(
        #[cfg(target_family = "wasm")]
        const _: () = {
            type Adapted = $crate::glue::$adapter<$kernel>;
            $crate::bindings::$interface::export!(Adapted with_types_in $crate::bindings::$interface);
        };
    )*};
}
