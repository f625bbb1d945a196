// A CUDA driver for tests: what Riffle calls of libcuda, over the emulator, in the process that has loaded it.
//
// Streams do nothing until someone waits for them, and then no more than the wait asks for: what is not waited for is
// not there, and what is overwritten too soon is lost. RIFFLE_TEST_DRIVER says what machine this is, in words of the form
// name=value: version, init (an error of cuInit), devices, major, minor, free (bytes).
//
//     g++ -std=c++17 -shared -fPIC -Wl,-soname,libcuda.so cuda.cpp -o libcuda.so
#include <dlfcn.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <string>
#include <vector>

enum { SUCCESS = 0, INVALID_VALUE = 1, NOT_FOUND = 500, LAUNCH_FAILED = 719 };
enum { MAX_SHARED_BYTES = 8, MULTIPROCESSORS = 16, MAJOR = 75, MINOR = 76, MEMORY_POOLS = 115 };
constexpr unsigned SHARED_BYTES_UNASKED = 48 << 10;

// ---- the machine ----------------------------------------------------------------------------------------------------

static long setting(const std::string& name, long otherwise) {
    const char* words = getenv("RIFFLE_TEST_DRIVER");
    const std::string text = " " + std::string(words ? words : ""), key = " " + name + "=";
    const size_t place = text.find(key);
    return place == std::string::npos ? otherwise : atol(text.c_str() + place + key.size());
}

template <class F> static F* emulator(const char* name) {
    void* found = dlsym(RTLD_DEFAULT, name);
    if (!found) fprintf(stderr, "the emulator is not loaded: %s\n", name), abort();
    return reinterpret_cast<F*>(found);
}

// ---- streams --------------------------------------------------------------------------------------------------------

struct Stream {
    std::deque<std::function<int()>> work;
    uint64_t added = 0, done = 0;

    void add(std::function<int()> item) { work.push_back(std::move(item)), added++; }
    int run_to(uint64_t end) {
        while (done < end) {
            const auto item = std::move(work.front());
            work.pop_front(), done++;
            if (const int error = item()) return error;
        }
        return SUCCESS;
    }
};

// The work that its stream had when it was recorded.
struct Event {
    Stream* stream = nullptr;
    uint64_t end = 0;
    int wait() const { return stream ? stream->run_to(end) : SUCCESS; }
};

struct Function {
    std::string name;
    unsigned shared_bytes_max = SHARED_BYTES_UNASKED;
};

static void* current = nullptr;
static char context;

static int run_all(Stream* stream) { return stream->run_to(stream->added); }

extern "C" {

int cuDriverGetVersion(int* version) { return *version = int(setting("version", 13000)), SUCCESS; }
int cuInit(unsigned) { return int(setting("init", SUCCESS)); }
int cuDeviceGetCount(int* count) { return *count = int(setting("devices", 1)), SUCCESS; }
int cuDeviceGet(int* device, int ordinal) { return *device = ordinal, SUCCESS; }
int cuDevicePrimaryCtxRetain(void** out, int) { return *out = &context, SUCCESS; }
int cuDevicePrimaryCtxRelease_v2(int) { return SUCCESS; }
int cuCtxGetCurrent(void** out) { return *out = current, SUCCESS; }
int cuCtxSetCurrent(void* context) { return current = context, SUCCESS; }
int cuDeviceGetName(char* name, int bytes, int) { return snprintf(name, size_t(bytes), "Test Device"), SUCCESS; }

int cuDeviceGetAttribute(int* value, int attribute, int) {
    switch (attribute) {
        case MAJOR: return *value = int(setting("major", 8)), SUCCESS;
        case MINOR: return *value = int(setting("minor", 0)), SUCCESS;
        case MULTIPROCESSORS: return *value = 3, SUCCESS;
        case MEMORY_POOLS: return *value = 1, SUCCESS;
        default: return INVALID_VALUE;
    }
}

int cuMemGetInfo_v2(size_t* free, size_t* total) {
    return *free = size_t(setting("free", 1l << 32)), *total = size_t(1) << 33, SUCCESS;
}

int cuGetErrorString(int error, const char** text) {
    switch (error) {
        case 2: return *text = "out of memory", SUCCESS;
        case 100: return *text = "no CUDA-capable device is detected", SUCCESS;
        case LAUNCH_FAILED: return *text = "unspecified launch failure", SUCCESS;
        case 999: return *text = "unknown error", SUCCESS;
        default: return *text = nullptr, INVALID_VALUE;
    }
}

// ---- order ----------------------------------------------------------------------------------------------------------

int cuStreamCreate(Stream** stream, unsigned) { return *stream = new Stream, SUCCESS; }
int cuStreamDestroy_v2(Stream* stream) { return run_all(stream); }
int cuStreamSynchronize(Stream* stream) { return run_all(stream); }
int cuEventCreate(Event** event, unsigned) { return *event = new Event, SUCCESS; }
int cuEventDestroy_v2(Event* event) { return delete event, SUCCESS; }
int cuEventRecord(Event* event, Stream* stream) { return *event = Event{stream, stream->added}, SUCCESS; }
int cuEventSynchronize(Event* event) { return event->wait(); }
int cuStreamWaitEvent(Stream* stream, Event* event, unsigned) {
    stream->add([then = *event] { return then.wait(); });
    return SUCCESS;
}

// ---- memory ---------------------------------------------------------------------------------------------------------

int cuMemAllocAsync(uint64_t* address, size_t bytes, Stream*) {
    *address = uint64_t(emulator<void*(size_t)>("emulator_alloc")(bytes));
    return SUCCESS;
}
int cuMemFreeAsync(uint64_t address, Stream* stream) {
    stream->add([=] { return emulator<void(void*)>("emulator_free")((void*)address), SUCCESS; });
    return SUCCESS;
}
int cuMemHostAlloc(void** host, size_t bytes, unsigned) { return *host = malloc(bytes), SUCCESS; }
int cuMemFreeHost(void* host) { return free(host), SUCCESS; }
int cuMemsetD8Async(uint64_t address, unsigned char value, size_t bytes, Stream* stream) {
    stream->add([=] { return memset((void*)address, value, bytes), SUCCESS; });
    return SUCCESS;
}
int cuMemcpyHtoDAsync_v2(uint64_t to, const void* from, size_t bytes, Stream* stream) {
    stream->add([=] { return memcpy((void*)to, from, bytes), SUCCESS; });
    return SUCCESS;
}
int cuMemcpyDtoHAsync_v2(void* to, uint64_t from, size_t bytes, Stream* stream) {
    stream->add([=] { return memcpy(to, (void*)from, bytes), SUCCESS; });
    return SUCCESS;
}

// ---- kernels --------------------------------------------------------------------------------------------------------

int cuModuleLoadData(void** module, const void* image) {
    if (memcmp(image, "\177ELF", 4)) return INVALID_VALUE;
    return *module = &context, SUCCESS;
}
int cuModuleUnload(void*) { return SUCCESS; }

int cuModuleGetFunction(Function** function, void*, const char* name) {
    int32_t facts[6];
    if (emulator<int(const char*, int32_t*)>("emulator_facts")(name, facts)) return NOT_FOUND;
    return *function = new Function{name}, SUCCESS;
}

int cuFuncSetAttribute(Function* function, int attribute, int value) {
    if (attribute != MAX_SHARED_BYTES || value > 227 << 10) return INVALID_VALUE;
    return function->shared_bytes_max = unsigned(value), SUCCESS;
}

// Parameters are copied now, as the driver does; the blocks run when someone waits.
int cuLaunchKernel(Function* function, unsigned x, unsigned y, unsigned z, unsigned threads, unsigned, unsigned,
                   unsigned shared_bytes, Stream* stream, void** parameters, void**) {
    int32_t facts[6];
    emulator<int(const char*, int32_t*)>("emulator_facts")(function->name.c_str(), facts);
    if (shared_bytes > function->shared_bytes_max || x == 0 || y == 0 || z == 0) return INVALID_VALUE;
    struct alignas(64) Parameter {
        unsigned char bytes[128];
    };
    std::vector<Parameter> copies;
    copies.resize(size_t(facts[4]));
    for (size_t i = 0; i < copies.size(); i++) memcpy(copies[i].bytes, parameters[i], i == 0 ? size_t(facts[5]) : 128);
    stream->add([=, name = function->name]() mutable {
        const uint32_t grid[3] = {x, y, z};
        std::vector<void*> pointers;
        for (Parameter& copy : copies) pointers.push_back(copy.bytes);
        char report[4096];
        using Launch = int(const char*, const uint32_t*, uint32_t, uint32_t, void**, char*, size_t);
        if (!emulator<Launch>("emulator_launch")(name.c_str(), grid, threads, shared_bytes, pointers.data(), report,
                                                 sizeof report))
            return int(SUCCESS);
        fprintf(stderr, "%s\n", report);
        return int(LAUNCH_FAILED);
    });
    return SUCCESS;
}

int cuTensorMapEncodeTiled(void* map, int, uint32_t, void* base, const uint64_t* sizes, const uint64_t* row_bytes,
                           const uint32_t* boxes, const uint32_t*, int, int, int, int) {
    char report[4096];
    using Make = int(void*, const void*, uint64_t, uint64_t, uint64_t, uint32_t, uint32_t, char*, size_t);
    if (!emulator<Make>("emulator_tensor_map")(map, base, sizes[1], sizes[0], row_bytes[0], boxes[1], boxes[0], report,
                                               sizeof report))
        return SUCCESS;
    fprintf(stderr, "%s\n", report);
    return INVALID_VALUE;
}
}
