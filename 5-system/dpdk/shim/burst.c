/* The data path. */

#include <string.h>

#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_prefetch.h>

#include "mbuf.h"
#include "shim.h"

#define BURST 64

uint16_t pc_receive(uint16_t port, uint16_t queue, struct pc_received *received, uint16_t most)
{
	struct rte_mbuf *mbufs[BURST];
	uint16_t count;

	count = rte_eth_rx_burst(port, queue, mbufs, most < BURST ? most : BURST);
	for (uint16_t i = 0; i < count; i++)
		rte_prefetch0(frame_of(mbufs[i]));
	for (uint16_t i = 0; i < count; i++) {
		struct rte_mbuf *mbuf = mbufs[i];

		received[i].frame = frame_of(mbuf);
		received[i].start = mbuf->data_off;
		received[i].length = mbuf->pkt_len;
		received[i].flags = mbuf->nb_segs == 1 && RTE_MBUF_DIRECT(mbuf) ? 0 : PC_ODD;
	}
	return count;
}

void pc_copy_out(void *frame, void *to, uint32_t length)
{
	const void *data = rte_pktmbuf_read(mbuf_of(frame), 0, length, to);

	if (data && data != to)
		memcpy(to, data, length);
}

static inline uint64_t asked(uint32_t flags)
{
	switch (flags) {
	case PC_CHECKSUM_TCP4:
		return RTE_MBUF_F_TX_TCP_CKSUM | RTE_MBUF_F_TX_IPV4;
	case PC_CHECKSUM_TCP6:
		return RTE_MBUF_F_TX_TCP_CKSUM | RTE_MBUF_F_TX_IPV6;
	case PC_CHECKSUM_UDP4:
		return RTE_MBUF_F_TX_UDP_CKSUM | RTE_MBUF_F_TX_IPV4;
	case PC_CHECKSUM_UDP6:
		return RTE_MBUF_F_TX_UDP_CKSUM | RTE_MBUF_F_TX_IPV6;
	default:
		return 0;
	}
}

uint16_t pc_transmit(uint16_t port, uint16_t queue, const struct pc_sending *sending,
		     uint16_t count)
{
	struct rte_mbuf *mbufs[BURST];
	uint64_t any = 0;

	if (count > BURST)
		count = BURST;
	for (uint16_t i = 0; i < count; i++) {
		struct rte_mbuf *mbuf = mbuf_of(sending[i].frame);
		uint64_t flags = asked(sending[i].flags);

		mbuf->data_off = (uint16_t)sending[i].start;
		mbuf->data_len = (uint16_t)sending[i].length;
		mbuf->pkt_len = sending[i].length;
		mbuf->ol_flags = flags;
		mbuf->tx_offload = 0;
		if (flags) {
			mbuf->l2_len = sending[i].l2;
			mbuf->l3_len = sending[i].l3;
		}
		any |= flags;
		mbufs[i] = mbuf;
	}
	/* Some devices want the headers prepared for what they are asked to do. */
	if (any)
		count = rte_eth_tx_prepare(port, queue, mbufs, count);
	return rte_eth_tx_burst(port, queue, mbufs, count);
}
