package ipam

import (
	"encoding/binary"
	"math"
	"math/bits"
	"net/netip"
	"slices"
)

// span is a run of addresses of one family, both ends included.
type span struct{ first, last netip.Addr }

// maxNumbers is how many addresses of one pool can be given: every number up to here is exact in
// Lua, whose only number is a 64-bit float.
const maxNumbers = 1 << 53

func prefixSpan(p netip.Prefix) span {
	first := p.Masked().Addr()
	raw := first.AsSlice()
	for bit := p.Bits(); bit < len(raw)*8; bit++ {
		raw[bit/8] |= 1 << (7 - bit%8)
	}
	last, _ := netip.AddrFromSlice(raw)
	return span{first, last}
}

func (s span) overlaps(o span) bool {
	return s.first.BitLen() == o.first.BitLen() && !s.last.Less(o.first) && !o.last.Less(s.first)
}

func (s span) contains(a netip.Addr) bool { return s.overlaps(span{a, a}) }

// size is the number of addresses, at most maxNumbers.
func (s span) size() uint64 { return min(distance(s.first, s.last)+1, maxNumbers) }

// without cuts holes out of s and returns what is left, in ascending order.
func (s span) without(holes []span) []span {
	holes = slices.Clone(holes)
	slices.SortFunc(holes, func(a, b span) int { return a.first.Compare(b.first) })
	var left []span
	next := s.first // the lowest address not looked at yet; invalid after the last one of all
	for _, h := range holes {
		if !next.IsValid() || s.last.Less(next) {
			return left
		}
		if h.last.Less(next) || s.last.Less(h.first) || !h.overlaps(s) {
			continue
		}
		if next.Less(h.first) {
			left = append(left, span{next, h.first.Prev()})
		}
		next = h.last.Next()
	}
	if next.IsValid() && !s.last.Less(next) {
		left = append(left, span{next, s.last})
	}
	return left
}

// distance is to - from, at most MaxUint64 - 1.
func distance(from, to netip.Addr) uint64 {
	a, b := from.As16(), to.As16()
	low, borrow := bits.Sub64(binary.BigEndian.Uint64(b[8:]), binary.BigEndian.Uint64(a[8:]), 0)
	high, _ := bits.Sub64(binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(a[:8]), borrow)
	if high != 0 || low == math.MaxUint64 {
		return math.MaxUint64 - 1
	}
	return low
}

// plus is the address n after a. It must be one of the family.
func plus(a netip.Addr, n uint64) netip.Addr {
	raw := a.As16()
	low, carry := bits.Add64(binary.BigEndian.Uint64(raw[8:]), n, 0)
	binary.BigEndian.PutUint64(raw[8:], low)
	binary.BigEndian.PutUint64(raw[:8], binary.BigEndian.Uint64(raw[:8])+carry)
	sum := netip.AddrFrom16(raw)
	if a.Is4() {
		return sum.Unmap()
	}
	return sum
}
