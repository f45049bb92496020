/* The data path. */

#include <string.h>

#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "mbuf.h"
#include "shim.h"

/* Receives up to most frames, and puts the headers in order that their mbufs have: where the data are, and this metadata, or
 * the other one of frames whose IPv4 header the device has found right. */
uint16_t pc_receive(uint16_t port, uint16_t queue, void **frames, uint16_t most, const void *meta,
		    const void *checked, struct pc_received *received)
{
	uint64_t bytes = 0, odd = 0;
	uint16_t count;

	if (most > PC_BURST)
		most = PC_BURST;
	count = rte_eth_rx_burst(port, queue, (struct rte_mbuf **)frames, most);
	for (uint16_t i = 0; i < count; i++)
		__builtin_prefetch(frame_of(frames[i]), 1);
	for (uint16_t i = 0; i < count; i++) {
		const struct rte_mbuf *mbuf = frames[i];
		struct pc_frame *frame = frame_of(frames[i]);
		uint32_t start = mbuf->data_off, length = mbuf->pkt_len;
		int is_right;

		bytes += length;
		if (unlikely(mbuf->nb_segs != 1 || !RTE_MBUF_DIRECT(mbuf) ||
			     start + (uint64_t)length > frame->capacity)) {
			odd |= UINT64_C(1) << i;
			start = length = 0;
		}
		frame->start = start;
		frame->length = length;
		/* Of a packet in a tunnel that may be said of the inner header, and of the outer one this. */
		is_right = (mbuf->ol_flags & (RTE_MBUF_F_RX_IP_CKSUM_MASK |
					      RTE_MBUF_F_RX_OUTER_IP_CKSUM_BAD)) ==
			   RTE_MBUF_F_RX_IP_CKSUM_GOOD;
		memcpy(frame->meta, is_right ? checked : meta, PC_META_SIZE);
		frames[i] = frame;
	}
	received->bytes = bytes;
	received->odd = odd;
	return count;
}

/* Of an odd frame, with all its pieces. None if it is said to have bytes where there is no memory. */
uint32_t pc_length(void *frame)
{
	const struct rte_mbuf *mbuf = mbuf_of(frame), *piece;
	uint64_t length = 0;

	for (piece = mbuf; piece; piece = piece->next) {
		if ((uint32_t)piece->data_off + piece->data_len > piece->buf_len)
			return 0;
		length += piece->data_len;
	}
	return length == mbuf->pkt_len ? mbuf->pkt_len : 0;
}

void pc_copy_out(void *frame, void *to, uint32_t length)
{
	const void *data = rte_pktmbuf_read(mbuf_of(frame), 0, length, to);

	if (data && data != to)
		memcpy(to, data, length);
}

static void ask(struct rte_mbuf *mbuf, const struct pc_request *request)
{
	switch (request->flags) {
	case PC_CHECKSUM_TCP4:
		mbuf->ol_flags = RTE_MBUF_F_TX_TCP_CKSUM | RTE_MBUF_F_TX_IPV4;
		break;
	case PC_CHECKSUM_TCP6:
		mbuf->ol_flags = RTE_MBUF_F_TX_TCP_CKSUM | RTE_MBUF_F_TX_IPV6;
		break;
	case PC_CHECKSUM_UDP4:
		mbuf->ol_flags = RTE_MBUF_F_TX_UDP_CKSUM | RTE_MBUF_F_TX_IPV4;
		break;
	case PC_CHECKSUM_UDP6:
		mbuf->ol_flags = RTE_MBUF_F_TX_UDP_CKSUM | RTE_MBUF_F_TX_IPV6;
		break;
	}
	mbuf->tx_offload = 0;
	mbuf->l2_len = request->l2;
	mbuf->l3_len = request->l3;
}

/* Some devices want the headers prepared for what they are asked to do. Takes out what one can't send; returns how many are
 * left. */
static uint16_t prepare(uint16_t port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t count)
{
	uint16_t ready = 0;

	for (;;) {
		ready += rte_eth_tx_prepare(port, queue, mbufs + ready, count - ready);
		if (ready >= count)
			return count;
		rte_pktmbuf_free(mbufs[ready]);
		count--;
		memmove(mbufs + ready, mbufs + ready + 1, (count - ready) * sizeof(*mbufs));
	}
}

/* Sends frames, which the caller gives up, and frees what the device does not take. The requests are in the order of the
 * frames. If this CPU will fill their buffers with the next ones that it receives, it had better have their lines, which the
 * pipeline's has written. */
void pc_transmit(uint16_t port, uint16_t queue, void **frames, uint16_t count, uint16_t will_be_filled,
		 const struct pc_request *requests, uint16_t request_count, struct pc_sent *sent)
{
	struct rte_mbuf **mbufs = (struct rte_mbuf **)frames;
	uint64_t bytes = 0;
	uint16_t ready = count, gone;

	for (uint16_t i = 0; i < count; i++) {
		const struct pc_frame *frame = frames[i];
		struct rte_mbuf *mbuf = mbuf_of(frames[i]);

		mbuf->data_off = (uint16_t)frame->start;
		mbuf->data_len = (uint16_t)frame->length;
		mbuf->pkt_len = frame->length;
		mbuf->ol_flags = 0;
		bytes += frame->length;
		if (will_be_filled)
			__builtin_prefetch((char *)mbuf->buf_addr + frame->start, 1);
		frames[i] = mbuf;
	}
	if (request_count) {
		for (uint16_t i = 0; i < request_count; i++)
			ask(mbufs[requests[i].at], &requests[i]);
		ready = prepare(port, queue, mbufs, count);
		bytes = 0;
		for (uint16_t i = 0; i < ready; i++)
			bytes += mbufs[i]->pkt_len;
	}
	gone = rte_eth_tx_burst(port, queue, mbufs, ready);
	/* Some devices take a part at a time. */
	if (unlikely(gone < ready))
		gone += rte_eth_tx_burst(port, queue, mbufs + gone, ready - gone);
	if (unlikely(gone < ready)) {
		for (uint16_t i = gone; i < ready; i++)
			bytes -= mbufs[i]->pkt_len;
		rte_pktmbuf_free_bulk(mbufs + gone, ready - gone);
	}
	sent->bytes = bytes;
	sent->frames = gone;
	sent->refused = count - ready;
}
