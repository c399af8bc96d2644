<?php
// Reads the instance metadata service: without a token where that is allowed, else with one.

declare(strict_types=1);

const METADATA = 'http://169.254.169.254/latest/';
const PATIENCE_SECONDS = 2;

/** Asks the service; gives the status and the body, or [0, ''] where nobody answers. */
function metadata_request(string $method, string $path, array $headers): array
{
    $context = stream_context_create(['http' => [
        'method' => $method,
        'header' => $headers,
        'timeout' => PATIENCE_SECONDS,
        'ignore_errors' => true,
        'follow_location' => 0,
    ]]);
    $body = @file_get_contents(METADATA . $path, false, $context);
    $status_line = $http_response_header[0] ?? '';
    if ($body === false || !preg_match('{^HTTP/\S+ (\d{3})}', $status_line, $found)) {
        return [0, ''];
    }
    return [(int) $found[1], $body];
}

/** A session token, asked for once a page. */
function metadata_token(): string
{
    static $token = null;
    if ($token === null) {
        $lifetime = ['X-aws-ec2-metadata-token-ttl-seconds: 60'];
        [$status, $body] = metadata_request('PUT', 'api/token', $lifetime);
        $token = $status === 200 ? trim($body) : '';
    }
    return $token;
}

/** The value of an item, or null where the instance has none. */
function metadata(string $item): ?string
{
    static $required = false;
    $path = 'meta-data/' . $item . '/';
    if (!$required) {
        [$status, $body] = metadata_request('GET', $path, []);
        $required = $status === 401;
    }
    if ($required) {
        $headers = ['X-aws-ec2-metadata-token: ' . metadata_token()];
        [$status, $body] = metadata_request('GET', $path, $headers);
    }
    return $status === 200 ? trim($body) : null;
}
