// Package s3test tries package bulk against an S3 server that checks signatures,
// conditions and permissions: Versity's gateway, on a directory. It is a module of its
// own, because the gateway requires much.
package s3test
