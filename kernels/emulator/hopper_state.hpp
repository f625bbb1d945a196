// What a block keeps for the instructions of sm_90a: mbarriers, loads on their way, products not yet done.
#pragma once
#include <cstdint>
#include <vector>

namespace emulator {

// A phase is over when every arrival has come and no byte is outstanding.
struct Mbarrier {
    uint32_t address;
    int arrivals, pending, bytes;
    uint32_t phase;
    uint32_t initialised_by;
    bool fenced;
    std::vector<uint32_t> waiting;
};

// What lies in the 128 bytes of a CUtensorMap.
struct TensorMap {
    const unsigned char* base;
    uint64_t rows, columns, row_bytes;
    uint32_t box_rows, box_columns;
    uint64_t mark;
};

struct Load2d {
    uint32_t to;
    TensorMap map;
    int column, row;
    uint32_t barrier;
};

// A warp's part of a wgmma: the operands' descriptors, and where each lane's accumulators lie.
struct WarpProduct {
    uint64_t a, b;
    int columns;
    bool accumulate;
    uint32_t group;
    float* d[32];
};

struct HopperState {
    std::vector<Mbarrier> mbarriers;
    std::vector<Load2d> loads;
    std::vector<WarpProduct> products[32];   // of each warp, issued and not yet done
    uint64_t histories[32] = {};             // of each warp, what it has issued

    void reset();
};

class Machine;

// Lands one load that is on its way; false when there is none. `draw` chooses among them.
bool land_one(Machine& machine, uint32_t draw);

}  // namespace emulator
