#include <cadre/manager/grpc_stream.hpp>

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

namespace cadre::detail {

namespace {

constexpr std::string_view kPath = "/cadre.Manager/Session";
constexpr std::uint32_t kWindow = 4 << 20;       // bytes that may be under way
constexpr std::size_t kMostHeaders = 16 << 10;   // bytes
constexpr std::size_t kMostOutput = 256 << 10;   // bytes at a time
constexpr int kUnimplemented = 12, kInvalid = 3, kExhausted = 8;  // status codes of gRPC

nghttp2_nv header(std::string_view name, std::string_view value) {
  const auto bytes = [](std::string_view s) { return const_cast<std::uint8_t*>(reinterpret_cast<const std::uint8_t*>(s.data())); };
  return {bytes(name), bytes(value), name.size(), value.size(), NGHTTP2_NV_FLAG_NONE};
}

/** As gRPC wants it in a header: bytes that are not printable, and %, as %XX. */
std::string percent_encoded(std::string_view text) {
  std::string out;
  for (const char c : text) {
    constexpr char hex[] = "0123456789ABCDEF";
    if (c >= ' ' && c <= '~' && c != '%') {
      out += c;
    } else {
      out += '%';
      out += hex[static_cast<unsigned char>(c) >> 4];
      out += hex[c & 15];
    }
  }
  return out;
}
std::string percent_decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto digit = [&](std::size_t at) { return at < text.size() ? std::string_view("0123456789ABCDEF").find(text[at]) : std::string_view::npos; };
    if (text[i] == '%' && digit(i + 1) != std::string_view::npos && digit(i + 2) != std::string_view::npos) {
      out += static_cast<char>(digit(i + 1) * 16 + digit(i + 2));
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

}  // namespace

struct GrpcStream::Http2 {
  GrpcStream* owner = nullptr;
  nghttp2_session* session = nullptr;
  std::int32_t stream = -1;
  std::string path, method, content_type, status, message;  // of the other side's headers
  std::size_t header_bytes = 0;
  std::string error;  // of a callback
  // What goes out: whole messages with their five bytes in front.
  std::deque<std::string> out;
  std::size_t written = 0;  // of the first
  bool waiting = false, finishing = false;
  std::string final_status, final_reason;

  ~Http2() { nghttp2_session_del(session); }

  static ssize_t read(nghttp2_session* session, std::int32_t, std::uint8_t* to, std::size_t room, std::uint32_t* flags, nghttp2_data_source*, void* user) {
    Http2& h = *static_cast<GrpcStream*>(user)->http2_;
    std::size_t n = 0;
    while (n < room && !h.out.empty()) {
      const std::string& front = h.out.front();
      const std::size_t piece = std::min(room - n, front.size() - h.written);
      std::memcpy(to + n, front.data() + h.written, piece);
      n += piece;
      h.written += piece;
      if (h.written == front.size()) {
        h.out.pop_front();
        h.written = 0;
      }
    }
    if (h.out.empty() && h.finishing) {
      *flags |= NGHTTP2_DATA_FLAG_EOF;
      if (h.owner->side_ == Side::server) {
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        const nghttp2_nv trailers[] = {header("grpc-status", h.final_status), header("grpc-message", h.final_reason)};
        if (nghttp2_submit_trailer(session, h.stream, trailers, h.final_reason.empty() ? 1 : 2) != 0) return NGHTTP2_ERR_CALLBACK_FAILURE;
      }
      return static_cast<ssize_t>(n);
    }
    if (n == 0) {
      h.waiting = true;
      return NGHTTP2_ERR_DEFERRED;
    }
    return static_cast<ssize_t>(n);
  }

  static int on_begin_headers(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    Http2& h = *static_cast<GrpcStream*>(user)->http2_;
    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
    if (h.stream >= 0) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;  // one call is all there is: the stream is reset
    h.stream = frame->hd.stream_id;
    return 0;
  }
  static int on_header(nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t* name, std::size_t name_size, const std::uint8_t* value, std::size_t value_size, std::uint8_t, void* user) {
    Http2& h = *static_cast<GrpcStream*>(user)->http2_;
    if (frame->hd.stream_id != h.stream) return 0;
    h.header_bytes += name_size + value_size;
    if (h.header_bytes > kMostHeaders) {
      h.error = "the headers have more than " + std::to_string(kMostHeaders) + " bytes";
      return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    const std::string_view key(reinterpret_cast<const char*>(name), name_size);
    for (const auto& [known, kept] : {std::pair<std::string_view, std::string*>{":path", &h.path}, {":method", &h.method}, {"content-type", &h.content_type}, {"grpc-status", &h.status}, {"grpc-message", &h.message}})
      if (key == known) kept->assign(reinterpret_cast<const char*>(value), value_size);
    return 0;
  }
  static int on_frame(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    GrpcStream& s = *static_cast<GrpcStream*>(user);
    if (frame->hd.stream_id == 0 || frame->hd.stream_id != s.http2_->stream) return 0;
    if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST) s.take_request();
    if ((frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM)) {
      if (s.side_ == Side::server) {
        s.ended_ = true;
        s.finish();
      }
    }
    return 0;
  }
  static int on_data(nghttp2_session*, std::uint8_t, std::int32_t stream, const std::uint8_t* data, std::size_t size, void* user) {
    GrpcStream& s = *static_cast<GrpcStream*>(user);
    Http2& h = *s.http2_;
    if (stream != h.stream || h.finishing || !s.begun_) return 0;
    try {
      s.take_data({reinterpret_cast<const char*>(data), size});
    } catch (const std::exception& e) {
      if (s.side_ == Side::server) {
        s.messages_.clear();
        s.ended_ = true;
        s.finish(kExhausted, e.what());
        return 0;
      }
      h.error = e.what();
      return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    return 0;
  }
  static int on_close(nghttp2_session* session, std::int32_t stream, std::uint32_t error, void* user) {
    GrpcStream& s = *static_cast<GrpcStream*>(user);
    Http2& h = *s.http2_;
    if (stream != h.stream) return 0;
    s.ended_ = true;
    if (s.side_ == Side::client)
      s.reason_ = !h.message.empty() ? percent_decoded(h.message) : h.status == "0" ? "the other side has ended the call" : std::string("the call was reset: ") + nghttp2_http2_strerror(error);
    else
      nghttp2_session_terminate_session(session, NGHTTP2_NO_ERROR);
    return 0;
  }
};

GrpcStream::GrpcStream(Side side, std::size_t most) : http2_(std::make_unique<Http2>()), side_(side), most_(most) {
  Http2& h = *http2_;
  h.owner = this;
  nghttp2_session_callbacks* callbacks = nullptr;
  nghttp2_option* options = nullptr;
  if (nghttp2_session_callbacks_new(&callbacks) != 0) throw std::bad_alloc();
  const std::unique_ptr<nghttp2_session_callbacks, void (*)(nghttp2_session_callbacks*)> owned(callbacks, nghttp2_session_callbacks_del);
  if (nghttp2_option_new(&options) != 0) throw std::bad_alloc();
  const std::unique_ptr<nghttp2_option, void (*)(nghttp2_option*)> owned_options(options, nghttp2_option_del);
  nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, Http2::on_begin_headers);
  nghttp2_session_callbacks_set_on_header_callback(callbacks, Http2::on_header);
  nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, Http2::on_frame);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, Http2::on_data);
  nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, Http2::on_close);
  const bool client = side == Side::client;
  if ((client ? nghttp2_session_client_new2 : nghttp2_session_server_new2)(&h.session, callbacks, this, options) != 0) throw std::bad_alloc();
  const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, kWindow},
                                             {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, static_cast<std::uint32_t>(kMostHeaders)},
                                             {client ? NGHTTP2_SETTINGS_ENABLE_PUSH : NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, client ? 0u : 1u}};
  nghttp2_submit_settings(h.session, NGHTTP2_FLAG_NONE, settings, std::size(settings));
  nghttp2_session_set_local_window_size(h.session, NGHTTP2_FLAG_NONE, 0, kWindow);
  if (!client) return;
  const nghttp2_nv headers[] = {header(":method", "POST"),     header(":scheme", "https"), header(":path", kPath), header(":authority", "cadre"),
                                header("te", "trailers"),      header("content-type", "application/grpc"), header("user-agent", "cadre")};
  nghttp2_data_provider provider{{}, Http2::read};
  h.stream = nghttp2_submit_request(h.session, nullptr, headers, std::size(headers), &provider, nullptr);
  if (h.stream < 0) throw Error(std::string("begin a call: ") + nghttp2_strerror(h.stream), Error::Kind::failed);
  begun_ = true;
}

GrpcStream::~GrpcStream() = default;

void GrpcStream::receive(std::string_view bytes) {
  Http2& h = *http2_;
  const ssize_t n = nghttp2_session_mem_recv(h.session, reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
  if (n < 0) throw Error("the other side does not speak gRPC: " + (h.error.empty() ? std::string(nghttp2_strerror(static_cast<int>(n))) : h.error), Error::Kind::failed);
}

void GrpcStream::take_request() {
  Http2& h = *http2_;
  const auto refuse = [&](int status, const char* why) {
    const std::string code = std::to_string(status);
    const nghttp2_nv headers[] = {header(":status", "200"), header("content-type", "application/grpc"), header("grpc-status", code), header("grpc-message", why)};
    nghttp2_submit_response(h.session, h.stream, headers, std::size(headers), nullptr);
    ended_ = true;
  };
  if (h.method != "POST" || !h.content_type.starts_with("application/grpc")) return refuse(kInvalid, "this is a gRPC server: POST, content-type application/grpc");
  if (h.path != kPath) return refuse(kUnimplemented, "this server has one call: /cadre.Manager/Session");
  const nghttp2_nv headers[] = {header(":status", "200"), header("content-type", "application/grpc")};
  nghttp2_data_provider provider{{}, Http2::read};
  nghttp2_submit_response(h.session, h.stream, headers, std::size(headers), &provider);
  begun_ = true;
}

void GrpcStream::take_data(std::string_view bytes) {
  while (!bytes.empty()) {
    if (head_.size() < 5) {
      const std::size_t n = std::min(5 - head_.size(), bytes.size());
      head_ += bytes.substr(0, n);
      bytes.remove_prefix(n);
      if (head_.size() < 5) return;
      if (head_[0] != 0) throw Error("a message is compressed: this side takes only those that are not");
      expected_ = 0;
      for (int i = 1; i < 5; ++i) expected_ = expected_ << 8 | static_cast<unsigned char>(head_[static_cast<std::size_t>(i)]);
      if (expected_ > most_) throw Error("a message has " + std::to_string(expected_) + " bytes, and may have " + std::to_string(most_) + ": send it in pieces");
    }
    const std::size_t n = std::min(expected_ - body_.size(), bytes.size());
    body_ += bytes.substr(0, n);
    bytes.remove_prefix(n);
    if (body_.size() < expected_) return;
    messages_.push_back(std::move(body_));
    body_ = {};
    head_.clear();
  }
  if (head_.size() == 5 && expected_ == 0) {  // an empty one at the end
    messages_.emplace_back();
    head_.clear();
  }
}

void GrpcStream::send(std::string message) {
  Http2& h = *http2_;
  if (h.finishing) return;
  const std::size_t n = message.size();
  const char head[5] = {0, static_cast<char>(n >> 24), static_cast<char>(n >> 16), static_cast<char>(n >> 8), static_cast<char>(n)};
  message.insert(0, head, 5);
  h.out.push_back(std::move(message));
  if (std::exchange(h.waiting, false)) nghttp2_session_resume_data(h.session, h.stream);
}

void GrpcStream::finish(int status, std::string_view reason) {
  Http2& h = *http2_;
  if (h.finishing) return;
  h.finishing = true;
  h.final_status = std::to_string(status);
  h.final_reason = percent_encoded(reason);
  if (std::exchange(h.waiting, false)) nghttp2_session_resume_data(h.session, h.stream);
}

bool GrpcStream::output(std::string& to) {
  const std::size_t before = to.size();
  while (to.size() - before < kMostOutput) {
    const std::uint8_t* bytes = nullptr;
    const ssize_t n = nghttp2_session_mem_send(http2_->session, &bytes);
    if (n < 0) throw Error(std::string("speak gRPC: ") + nghttp2_strerror(static_cast<int>(n)), Error::Kind::failed);
    if (n == 0) break;
    to.append(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(n));
  }
  return to.size() != before;
}

}  // namespace cadre::detail
