// TMA loads of two-dimensional bf16 tensors, always with the 128-byte swizzle.
#include "ptx.cuh"
#include "hopper_emulation.hpp"
#include "machine.hpp"
#include "mbarrier.hpp"

namespace emulator {

static constexpr uint64_t MARK = 0x70616D5F726F736E;   // tells a map that was made from bytes that were not

const char* make_tensor_map(CUtensorMap* map, const void* base, uint64_t rows, uint64_t columns, uint64_t row_bytes,
                            uint32_t box_rows, uint32_t box_columns) {
    if (uintptr_t(base) % 16) return "the tensor is not 16-byte aligned";
    if (row_bytes % 16 || row_bytes < columns * 2) return "the row pitch is no multiple of 16 bytes, or too small";
    if (rows == 0 || columns == 0 || rows >> 32 || columns >> 32) return "a dimension is 0 or past 2^32";
    if (box_rows == 0 || box_rows > 256) return "the box has more than 256 rows, or none";
    if (box_columns * 2 != 128) return "the box is not 128 bytes wide";
    const auto* first = static_cast<const unsigned char*>(base);
    const TensorMap made{first, rows, columns, row_bytes, box_rows, box_columns, MARK};
    static_assert(sizeof made <= sizeof *map, "fits");
    memset(map, 0, sizeof *map);
    memcpy(map, &made, sizeof made);
    return nullptr;
}

static void land(Machine& m, const Load2d& load) {
    const TensorMap& map = load.map;
    for (uint32_t r = 0; r < map.box_rows; r++) {
        const int64_t row = int64_t(load.row) + r;
        for (uint32_t piece = 0; piece < 8; piece++) {
            uint16_t values[8] = {};
            for (int i = 0; i < 8; i++) {
                const int64_t column = int64_t(load.column) + piece * 8 + i;
                if (row < 0 || row >= int64_t(map.rows) || column < 0 || column >= int64_t(map.columns)) continue;
                memcpy(&values[i], map.base + uint64_t(row) * map.row_bytes + uint64_t(column) * 2, 2);
            }
            memcpy(m.shared + load.to + r * 128 + (piece ^ r % 8) * 16, values, 16);
        }
    }
    mbarrier_complete(m, mbarrier_at(m, load.barrier), int(map.box_rows * 128));
}

void tma_load(uint32_t to, const CUtensorMap* map, int column, int row, uint32_t barrier) {
    Machine& m = *machine();
    Load2d load{to, {}, column, row, barrier};
    memcpy(&load.map, map, sizeof load.map);
    if (load.map.mark != MARK) m.fail("TMA load through something that is no tensor map");
    if (uintptr_t(map) % 64) m.fail("TMA load through a tensor map that is not 64-byte aligned");
    m.check_shared("TMA load", to, load.map.box_rows * 128, 1024);
    if (!mbarrier_at(m, barrier).fenced) m.fail("TMA load to an mbarrier whose initialisation was not fenced");
    if (m.launch->policy.late_copies()) m.hopper.loads.push_back(load);
    else land(m, load);
}

bool land_one(Machine& m, uint32_t draw) {
    auto& loads = m.hopper.loads;
    if (loads.empty()) return false;
    const auto chosen = loads.begin() + ptrdiff_t(draw % loads.size());
    land(m, *chosen);
    loads.erase(chosen);
    return true;
}

}  // namespace emulator
