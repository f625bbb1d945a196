// What kernels see of the emulator: CUDA's keywords and built-in names in C++, and the calls behind the wrappers of
// ptx.cuh. Everything acts on the CUDA thread that runs now on this host thread; nothing here is global.
#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#define __device__
#define __global__
#define __forceinline__ inline
#define __restrict__ __restrict
#define __align__(n) alignas(n)

struct uint2 { uint32_t x, y; };
struct alignas(16) uint4 { uint32_t x, y, z, w; };
struct alignas(8) float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
inline uint2 make_uint2(uint32_t x, uint32_t y) { return {x, y}; }
inline uint4 make_uint4(uint32_t x, uint32_t y, uint32_t z, uint32_t w) { return {x, y, z, w}; }
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline int min(int a, int b) { return a < b ? a : b; }
inline int max(int a, int b) { return a > b ? a : b; }
inline uint32_t min(uint32_t a, uint32_t b) { return a < b ? a : b; }
inline uint32_t max(uint32_t a, uint32_t b) { return a > b ? a : b; }
template <class T> inline T __ldg(const T* p) { return *p; }

namespace emulator {

struct Index { uint32_t x, y, z; };
const Index& thread_index();
const Index& block_index();
const Index& block_size();
const Index& grid_size();

template <class To, class From> inline To as(From from) {
    static_assert(sizeof(To) == sizeof(From), "same size");
    To to;
    memcpy(&to, &from, sizeof to);
    return to;
}

inline uint16_t round_bf16(float x) {
    const uint32_t bits = as<uint32_t>(x);
    if ((bits & 0x7FFFFFFF) > 0x7F800000) return 0x7FFF;
    return uint16_t((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

inline int floor_to_int(float x) {
    if (!(x == x)) return 0;
    if (x >= 2147483648.f) return INT32_MAX;
    return x < -2147483648.f ? INT32_MIN : int(floorf(x));
}

unsigned char* shared_memory();
uint32_t shared_address(const void* p);
void copy_async(uint32_t to, const void* from, bool valid);
void copy_commit();
void copy_wait(int groups);

void load_matrix(uint32_t* r, uint32_t row, bool transposed);
void matrix_product(float* d, const uint32_t* a, uint32_t b0, uint32_t b1);
uint32_t shuffle_word(uint32_t value, int source);
uint32_t shuffle_word_xor(uint32_t value, int mask);
template <class T> inline T shuffle_xor(T value, int mask) {
    return as<T>(shuffle_word_xor(as<uint32_t>(value), mask));
}
template <class T> inline T shuffle_from(T value, int source) {
    return as<T>(shuffle_word(as<uint32_t>(value), source));
}
void warp_barrier();
void barrier(int id, int threads, bool wait);

// What a kernel needs of its launch, as the kernel itself states it.
struct Facts { int threads, shared_bytes, rows, columns, parameters; size_t parameter_bytes; };
template <class Launch> constexpr Facts facts(int parameters, size_t parameter_bytes) {
    return {Launch::THREADS, Launch::SHARED_BYTES, Launch::BM, Launch::BN, parameters, parameter_bytes};
}

// Enters a kernel into the table that launches look names up in.
struct Registration {
    Registration(const char* name, Facts facts, void (*run)(void** parameters));
};

}  // namespace emulator

#define threadIdx emulator::thread_index()
#define blockIdx emulator::block_index()
#define blockDim emulator::block_size()
#define gridDim emulator::grid_size()
inline void __syncthreads() { emulator::barrier(0, int(emulator::block_size().x), true); }
inline void __syncwarp() { emulator::warp_barrier(); }
