/* Tensor-core building blocks of sm_80 and later: 16 x 8 x 16 products, matrix loads from shared memory, copies that do not
 * wait. Fragments are in the order of the PTX manual. */
#ifndef TAPER_OPS_MMA_CUH
#define TAPER_OPS_MMA_CUH

#include "ops/elements.cuh"

EL_FN unsigned mma_shared(const void *p) { return (unsigned)__cvta_generic_to_shared(p); }

/* c (16 x 8) += a (16 x 16) b (16 x 8) */
template <bool BF16> EL_FN void mma_16816(float *c, const unsigned *a, const unsigned *b) {
    if (BF16)
        asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                     : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                     : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
    else
        asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                     : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                     : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
/* c (16 x 8) += a (16 x 8) b (8 x 8) in TF32 */
EL_FN void mma_1688_tf32(float *c, const unsigned *a, const unsigned *b) {
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

/* Four 8 x 8 matrices of 16-bit elements; lanes 8 i .. 8 i + 7 give the rows of matrix i. */
EL_FN void mma_load4(unsigned *r, unsigned address) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];" : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(address) : "memory");
}
EL_FN void mma_load4_turned(unsigned *r, unsigned address) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];" : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(address) : "memory");
}

/* 16 bytes from global to shared memory, zeros where `in` is false (the address is then not read). */
EL_FN void mma_copy16(unsigned to, const void *from, bool in) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(in ? 16 : 0) : "memory");
}
EL_FN void mma_copies_end() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int LEFT> EL_FN void mma_copies_wait() { asm volatile("cp.async.wait_group %0;" ::"n"(LEFT) : "memory"); }

/* Two floats as a pair of 16-bit numbers, the first in the low half. */
template <bool BF16> EL_FN unsigned mma_pack(float low, float high) {
    if (BF16) {
        __nv_bfloat162 v = __floats2bfloat162_rn(low, high);
        return *(unsigned *)&v;
    }
    __half2 v = __floats2half2_rn(low, high);
    return *(unsigned *)&v;
}

/* Where a lane's row lies in a 16 x 16 block of a row-major matrix, for mma_load4: as the left factor, as the right factor
 * stored with rows along n, and (mma_load4_turned) stored with rows along k. */
EL_FN int mma_left_row(int lane) { return lane % 16; }
EL_FN int mma_left_col(int lane) { return lane / 16 * 8; }
EL_FN int mma_right_row(int lane) { return lane % 8 + lane / 16 * 8; }
EL_FN int mma_right_col(int lane) { return lane / 8 % 2 * 8; }
EL_FN int mma_turned_row(int lane) { return lane % 16; }
EL_FN int mma_turned_col(int lane) { return lane / 16 * 8; }

#endif
