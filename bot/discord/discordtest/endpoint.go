package discordtest

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
)

// SetInteractionsEndpoint makes interactions go to an address over HTTP instead
// of the gateway, each signed with the key of [Server.PublicKey]. Discord takes
// an address only if a PING there is answered with a PONG, and one with a wrong
// signature with 401; the error says which of the two went wrong. The empty
// address takes it back.
func (s *Server) SetInteractionsEndpoint(ctx context.Context, address string) error {
	if address != "" {
		ping := object{"id": s.newEndpointID(), "application_id": s.opts.ApplicationID, "type": interactionPing, "token": "ping", "version": 1}
		status, _, err := s.post(ctx, address, mustMarshal(ping), false)
		if err != nil {
			return fmt.Errorf("discordtest: interactions endpoint: %w", err)
		}
		if status != http.StatusUnauthorized {
			return fmt.Errorf("discordtest: interactions endpoint: a wrong signature is answered with %d, not 401", status)
		}
		status, body, err := s.post(ctx, address, mustMarshal(ping), true)
		if err != nil {
			return fmt.Errorf("discordtest: interactions endpoint: %w", err)
		}
		pong, _ := body.(object)
		if status != http.StatusOK || number(pong["type"]) != callbackPong {
			return fmt.Errorf("discordtest: interactions endpoint: a PING is answered with %d %v, not with a PONG", status, body)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endpoint = address
	return nil
}

func (s *Server) newEndpointID() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.newID()
}

// post sends one interaction to an address and returns the decoded answer.
func (s *Server) post(ctx context.Context, address string, payload []byte, signed bool) (status int, body any, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(payload))
	if err != nil {
		return 0, nil, err
	}
	stamp := strconv.FormatInt(s.now().Unix(), 10)
	signature := ed25519.Sign(s.privateKey, append([]byte(stamp), payload...))
	if !signed {
		signature[0]++
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Signature-Ed25519", hex.EncodeToString(signature))
	req.Header.Set("X-Signature-Timestamp", stamp)
	res, err := s.opts.HTTPClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxBody))
	if err != nil {
		return 0, nil, err
	}
	if len(raw) > 0 {
		body, _ = decode(raw) // what is no JSON is no response either
	}
	return res.StatusCode, body, nil
}

// deliverTo posts an interaction to the endpoint. The body of the answer is the
// first response; with 202 or 204 it comes over REST. Anything else fails the
// interaction.
func (s *Server) deliverTo(address string, it *interaction, payload []byte) {
	ctx, cancel := context.WithTimeout(s.ctx, s.opts.Deadline)
	defer cancel()
	status, body, err := s.post(ctx, address, payload, true)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err == nil && (status == http.StatusAccepted || status == http.StatusNoContent) || it.failed:
		return
	case err == nil && status == http.StatusOK:
		err = s.respond(it, body, nil)
	case err == nil:
		err = fmt.Errorf("HTTP %d", status)
	}
	if err == nil {
		return
	}
	if refused := (*apiError)(nil); errors.As(err, &refused) {
		r := &Request{Time: s.now(), Method: "ENDPOINT", Path: "answer to " + it.id, Body: mustMarshal(body), Status: refused.status, Response: mustMarshal(refused.body())}
		s.note(r)
		s.unexpected = append(s.unexpected, r)
	}
	s.fail(it)
}
