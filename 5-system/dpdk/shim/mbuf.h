/* Between an mbuf and the frame header in its private area, right behind it. */

#ifndef PORTCULLIS_DPDK_MBUF_H
#define PORTCULLIS_DPDK_MBUF_H

#include <rte_mbuf.h>

#include "shim.h"

_Static_assert(sizeof(struct rte_mbuf) % PC_FRAME_SIZE == 0, "the header would not be aligned");
_Static_assert(PC_FRAME_SIZE % RTE_MBUF_PRIV_ALIGN == 0, "not a size for a private area");

static inline void *frame_of(struct rte_mbuf *mbuf)
{
	return mbuf + 1;
}

static inline struct rte_mbuf *mbuf_of(void *frame)
{
	return (struct rte_mbuf *)frame - 1;
}

#endif
