#pragma once
/* gRPC as it is on the wire (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md): one bidirectional call, /cadre.Manager/Session, on an HTTP/2 connection. HTTP/2 is nghttp2's;
   bytes come in and go out by this class's members, so it knows no sockets, no TLS, no threads and no clock, and a process that is forked has no more of it than memory.

   (gRPC's own library has threads and a table of descriptors for the whole process, and says that a process which has used it can not be forked. Here the parent of the processes that share a
   manager uses it before it forks them, always.)

   A message is a byte 0 (not compressed), its size in 4 bytes, the most significant first, and its bytes. */
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>

#include <cadre/shm/error.hpp>

namespace cadre::detail {

class GrpcStream {
 public:
  enum class Side { client, server };
  /** `most`: bytes of a message that may come. A client's call is begun at once. */
  GrpcStream(Side side, std::size_t most);
  GrpcStream(const GrpcStream&) = delete;
  GrpcStream& operator=(const GrpcStream&) = delete;
  ~GrpcStream();

  /** Bytes that have come. Throws Error: they are no HTTP/2, or no gRPC; nothing may be received afterwards. */
  void receive(std::string_view bytes);
  /** The messages that have come whole, oldest first: the reader takes them out. */
  std::deque<std::string>& messages() noexcept { return messages_; }
  /** Server: a client has begun its call. */
  bool begun() const noexcept { return begun_; }
  /** The call is over; by which status and for what reason, for clients. A server's side is over when the client has ended the call, or gone. */
  bool ended() const noexcept { return ended_; }
  const std::string& reason() const noexcept { return reason_; }

  void send(std::string message);
  /** Ends the call once everything has been sent: a server with a status of gRPC's and a reason. */
  void finish(int status = 0, std::string_view reason = {});
  /** Appends what is to be written to the other side, some 256 KiB at most. False: nothing was. */
  bool output(std::string& to);

 private:
  struct Http2;
  void take_data(std::string_view bytes);
  void take_request();
  std::unique_ptr<Http2> http2_;
  Side side_;
  std::size_t most_;
  bool begun_ = false, ended_ = false;
  std::string reason_;
  std::deque<std::string> messages_;
  // Of the message that is coming: its five bytes in front, then its own.
  std::string head_, body_;
  std::size_t expected_ = 0;
};

}  // namespace cadre::detail
